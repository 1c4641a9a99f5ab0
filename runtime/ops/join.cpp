#include "runtime/ops/join.h"

#include <utility>

#include "kernels/memory.h"
#include "runtime/check.h"
#include "runtime/dispatch.h"

namespace clx {

Tensor join(const std::vector<Tensor>& parts) {
  CLX_CHECK(!parts.empty() && parts.front().defined() && parts.front().rank() >= 1,
            "join: expected at least one tensor with a leading axis");
  const Tensor& first = parts.front();
  if (parts.size() == 1) return first.detach();
  std::int64_t rows = 0;
  for (const Tensor& part : parts) {
    CLX_CHECK(part.defined() && part.dtype() == first.dtype() && part.device() == first.device(),
              "join: expected tensors of one type on one device");
    std::vector<std::int64_t> dims = part.shape().dims();
    CLX_CHECK(!dims.empty(), "join: expected a leading axis, got a scalar");
    dims[0] = first.dim(0);
    CLX_CHECK(Shape(dims) == first.shape(), "join: expected rows like those of ", first.shape(), ", got ",
              part.shape());
    rows += part.dim(0);
  }
  std::vector<std::int64_t> dims = first.shape().dims();
  dims[0] = rows;
  Tensor y(Shape(std::move(dims)), first.device(), first.dtype());
  auto* to = static_cast<char*>(y.mutable_view().data);
  on(first.device(), [&](const auto& backend) {
    for (const Tensor& part : parts) {
      kernels::copy(backend, part.bytes(), part.view().data, to);
      to += part.bytes();
    }
  });
  return y;
}

}  // namespace clx
