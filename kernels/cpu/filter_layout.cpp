#include "kernels/cpu/filter_layout.h"

#include "kernels/cpu/parallel.h"

namespace clx::kernels {
namespace {

using Desc = dnnl::memory::desc;

// Output channels of one chunk; a multiple of the blocks that oneDNN's layouts have.
constexpr int kSlice = 64;

void copy_slice(const Desc& from, const void* filters, const Desc& to, void* out) {
  keep_onednn_on_this_thread();
  const dnnl::engine& engine = onednn_engine();
  const dnnl::reorder::primitive_desc desc(engine, from, engine, to);
  const dnnl::memory source(from, engine, const_cast<void*>(filters)), target(to, engine, out);
  dnnl::reorder(desc).execute(onednn_stream(), {{DNNL_ARG_FROM, source}, {DNNL_ARG_TO, target}});
}

}  // namespace

void copy_filters(const Desc& from, const void* filters, const Desc& to, void* out) {
  const dnnl::memory::dims dims = from.dims();
  if (dims[0] % kSlice != 0) {
    copy_slice(from, filters, to, out);
    return;
  }
  parallel_for(dims[0] / kSlice, [&](std::int64_t slice) {
    const dnnl::memory::dims part{kSlice, dims[1], dims[2], dims[3]}, at{slice * kSlice, 0, 0, 0};
    copy_slice(from.submemory_desc(part, at), filters, to.submemory_desc(part, at), out);
  });
}

const void* filters_for(const Cpu& backend, const Convolution& convolution, const void* w) {
  if (convolution.filter_desc() == convolution.krsc_desc()) return w;
  void* out = backend.workspace(convolution.filter_desc().get_size());
  copy_filters(convolution.krsc_desc(), w, convolution.filter_desc(), out);
  return out;
}

}  // namespace clx::kernels
