#include "kernels/cpu/filter_layout.h"

#include "kernels/cpu/instruction_room.h"
#include "kernels/cpu/parallel.h"

namespace clx::kernels {
namespace {

using Desc = dnnl::memory::desc;

constexpr int kSlice = 64;  // output channels of one chunk

// Whether a layout can be cut into chunks: it is neither padded nor blocked by a number (oneDNN also has 48)
// that 64 is no multiple of.
bool divides(const Desc& layout) {
  const dnnl_blocking_desc_t& blocking = layout.data.format_desc.blocking;
  dnnl_dim_t block = 1;
  for (int i = 0; i < blocking.inner_nblks; ++i)
    if (blocking.inner_idxs[i] == 0) block *= blocking.inner_blks[i];
  return layout.data.dims[0] % kSlice == 0 && layout.data.padded_dims[0] == layout.data.dims[0] &&
         kSlice % block == 0;
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
  const InstructionRoom room;  // for all slices
  const dnnl::memory::dims dims = from.dims();
  if (!divides(from) || !divides(to)) {
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
