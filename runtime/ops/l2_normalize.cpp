#include "runtime/ops/l2_normalize.h"

#include "kernels/l2_normalize.h"
#include "runtime/autograd.h"
#include "runtime/dispatch.h"
#include "runtime/ops/require.h"

namespace clx {

Tensor l2_normalize(const Tensor& x) {
  require_floating("l2_normalize", "x", x);
  require_rank("l2_normalize", "x (N,D)", x, 2);
  CLX_CHECK(x.dtype() == DType::f32, "l2_normalize: expected f32, got ", name_of(x.dtype()));
  const int rows = static_cast<int>(x.dim(0)), cols = static_cast<int>(x.dim(1));
  Tensor y(x.shape(), x.device()), norm({x.dim(0)}, x.device());
  on(x.device(), [&](const auto& backend) {
    kernels::l2_normalize_forward(backend, rows, cols, x.data(), y.mutable_data(), norm.mutable_data());
  });
  return record("l2_normalize", y, {x},
                [rows, cols, saved = Saved(y), norm = Saved(norm)](const Tensor& dy, const Needs&) {
                  const Tensor& y = saved.get("l2_normalize");
                  Tensor dx(y.shape(), y.device());
                  on(y.device(), [&](const auto& backend) {
                    kernels::l2_normalize_backward(backend, rows, cols, y.data(),
                                                   norm.get("l2_normalize").data(), dy.data(),
                                                   dx.mutable_data());
                  });
                  return std::vector{dx};
                });
}

}  // namespace clx
