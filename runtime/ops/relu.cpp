#include "runtime/ops/relu.h"

#include "kernels/elementwise.h"
#include "runtime/autograd.h"
#include "runtime/dispatch.h"
#include "runtime/ops/require.h"

namespace clx {

Tensor relu(const Tensor& x) {
  require_floating("relu", "x", x);
  Tensor y(x.shape(), x.device(), x.dtype());
  on(x.device(),
     [&](const auto& backend) { kernels::relu_forward(backend, x.size(), x.view(), y.mutable_view()); });
  return record("relu", y, {x}, [saved = Saved(y)](const Tensor& dy, const Needs&) {
    const Tensor& y = saved.get("relu");
    Tensor dx(y.shape(), y.device(), y.dtype());
    on(y.device(), [&](const auto& backend) {
      kernels::relu_backward(backend, y.size(), y.view(), dy.view(), dx.mutable_view());
    });
    return std::vector{dx};
  });
}

}  // namespace clx
