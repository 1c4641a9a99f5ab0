#include "runtime/ops/all_gather.h"

#include "kernels/collective.h"
#include "kernels/memory.h"
#include "runtime/autograd.h"
#include "runtime/dispatch.h"
#include "runtime/ops/require.h"

namespace clx {

Tensor all_gather(const Tensor& x, Communicator& across, const AllGatherOptions& options) {
  CLX_CHECK(x.defined() && x.rank() >= 1 && x.size() > 0,
            "all_gather: expected x (rows,…) with at least one element, got ",
            x.defined() ? concat("shape ", x.shape()) : "none");
  CLX_CHECK(options.views >= 1 && x.dim(0) % options.views == 0, "all_gather: expected ", options.views,
            " views of equal size, got ", x.dim(0), " rows");
  if (across.size() == 1) return x;
  const Device device = x.device();
  std::vector<std::int64_t> dims = x.shape().dims();
  dims[0] *= across.size();
  Tensor y(Shape(dims), device, x.dtype());
  // Block (view, rank) of y is view `view` of process `rank`.
  const auto views = static_cast<std::size_t>(options.views), size = static_cast<std::size_t>(across.size());
  const auto rank = static_cast<std::size_t>(across.rank());
  const std::size_t block = x.bytes() / views;
  on(device, [&](const auto& backend) {
    auto* out = static_cast<char*>(y.mutable_view().data);
    if (views == 1) return kernels::all_gather(backend, across.group(), block, x.view().data, out);
    auto* all = static_cast<char*>(backend.workspace(y.bytes()));
    kernels::all_gather(backend, across.group(), x.bytes(), x.view().data, all);
    for (std::size_t view = 0; view < views; ++view)
      for (std::size_t r = 0; r < size; ++r)
        kernels::copy(backend, block, all + (r * views + view) * block, out + (view * size + r) * block);
  });
  const Shape shape = x.shape();
  return record("all_gather", y, {x}, [=](const Tensor& dy, const Needs&) {
    Tensor dx(shape, device, dy.dtype());
    on(device, [&](const auto& backend) {
      const auto* from = static_cast<const char*>(dy.view().data);
      auto* to = static_cast<char*>(dx.mutable_view().data);
      for (std::size_t view = 0; view < views; ++view)
        kernels::copy(backend, block, from + (view * size + rank) * block, to + view * block);
    });
    return std::vector{dx};
  });
}

}  // namespace clx
