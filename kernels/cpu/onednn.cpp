#include "kernels/cpu/onednn.h"

namespace clx::kernels {

const dnnl::engine& onednn_engine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

dnnl::stream& onednn_stream() {
  thread_local dnnl::stream stream(onednn_engine());
  return stream;
}

namespace {

bool has_isa(dnnl::cpu_isa isa) {
  const auto needed = static_cast<unsigned>(isa);
  return (static_cast<unsigned>(dnnl::get_effective_cpu_isa()) & needed) == needed;
}

}  // namespace

bool onednn_has_bf16() {
  return has_isa(dnnl::cpu_isa::avx512_core);
}

bool onednn_has_bf16_matrices() {
  return has_isa(dnnl::cpu_isa::avx512_core_amx);
}

}  // namespace clx::kernels
