#include "kernels/cpu/filter_layout.h"

#include <numeric>

#include "kernels/cpu/parallel.h"

namespace clx::kernels {
namespace {

using Desc = dnnl::memory::desc;

// Output channels of one chunk: at least 64, and whole blocks of the layouts, because a part of a block is
// no memory of its own.
std::int64_t slice_of(const Desc& from, const Desc& to) {
  std::int64_t slice = 64;
  for (const Desc* desc : {&from, &to}) {
    const auto& layout = desc->data.format_desc.blocking;
    std::int64_t block = 1;
    for (int i = 0; i < layout.inner_nblks; ++i)
      if (layout.inner_idxs[i] == 0) block *= layout.inner_blks[i];
    slice = std::lcm(slice, block);
  }
  return slice;
}

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
  const std::int64_t slice = slice_of(from, to);
  if (dims[0] % slice != 0) {
    copy_slice(from, filters, to, out);
    return;
  }
  parallel_for(dims[0] / slice, [&](std::int64_t i) {
    const dnnl::memory::dims part{slice, dims[1], dims[2], dims[3]}, at{i * slice, 0, 0, 0};
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
