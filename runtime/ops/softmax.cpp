#include "runtime/ops/softmax.h"

#include "kernels/softmax.h"
#include "runtime/autograd.h"
#include "runtime/dispatch.h"
#include "runtime/ops/require.h"
#include "runtime/ops/require_labels.h"

namespace clx {
namespace {
void require_scores(const char* op, const Tensor& x) {
  require_floating(op, "x", x);
  require_rank(op, "x (N,K)", x, 2);
  CLX_CHECK(x.dtype() == DType::f32, op, ": expected f32, got ", name_of(x.dtype()));
}
}  // namespace

Tensor softmax(const Tensor& x) {
  require_scores("softmax", x);
  const int rows = static_cast<int>(x.dim(0)), cols = static_cast<int>(x.dim(1));
  Tensor y(x.shape(), x.device());
  on(x.device(),
     [&](const auto& backend) { kernels::softmax_forward(backend, rows, cols, x.data(), y.mutable_data()); });
  return record("softmax", y, {x}, [rows, cols, saved = Saved(y)](const Tensor& dy, const Needs&) {
    const Tensor& y = saved.get("softmax");
    Tensor dx(y.shape(), y.device());
    on(y.device(), [&](const auto& backend) {
      kernels::softmax_backward(backend, rows, cols, y.data(), dy.data(), dx.mutable_data());
    });
    return std::vector{dx};
  });
}

Tensor pick(const Tensor& x, const Tensor& columns) {
  require_scores("pick", x);
  require("pick", "columns", columns, DType::i32, {x.dim(0)}, x.device());
  require_labels("pick", columns, x.dim(1));
  const int rows = static_cast<int>(x.dim(0)), cols = static_cast<int>(x.dim(1));
  Tensor y({rows}, x.device());
  on(x.device(), [&](const auto& backend) {
    kernels::pick_forward(backend, rows, cols, x.data(), columns.data<std::int32_t>(), y.mutable_data());
  });
  return record("pick", y, {x}, [rows, cols, columns = Saved(columns)](const Tensor& dy, const Needs&) {
    Tensor dx({rows, cols}, dy.device());
    on(dy.device(), [&](const auto& backend) {
      kernels::pick_backward(backend, rows, cols, columns.get("pick").data<std::int32_t>(), dy.data(),
                             dx.mutable_data());
    });
    return std::vector{dx};
  });
}

}  // namespace clx
