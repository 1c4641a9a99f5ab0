#include "runtime/ops/convert.h"

#include "kernels/elementwise.h"
#include "runtime/dispatch.h"
#include "runtime/ops/require.h"

namespace clx {

Tensor convert(const Tensor& x, DType dtype) {
  require_floating("convert", "x", x);
  CLX_CHECK(dtype == DType::f32 || dtype == DType::bf16, "convert: expected f32 or bf16, got ",
            name_of(dtype));
  if (dtype == x.dtype()) return x.detach();
  Tensor y(x.shape(), x.device(), dtype);
  on(x.device(),
     [&](const auto& backend) { kernels::convert(backend, x.size(), x.view(), y.mutable_view()); });
  return y;
}

}  // namespace clx
