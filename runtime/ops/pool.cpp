#include "runtime/ops/pool.h"

#include "kernels/pool.h"
#include "runtime/autograd.h"
#include "runtime/dispatch.h"
#include "runtime/ops/require.h"

namespace clx {
namespace {
int extent(const Tensor& t, int axis) {
  return static_cast<int>(t.dim(axis));
}
}  // namespace

Tensor max_pool(const Tensor& x, const MaxPoolOptions& options) {
  require_floating("max_pool", "x", x);
  require_rank("max_pool", "x (N,H,W,C)", x, 4);
  const int R = options.window;
  CLX_CHECK(R >= 1 && R <= 15 && options.stride >= 1,
            "max_pool: expected a window of 1…15 and a stride ≥ 1, got ", R, " and ", options.stride);
  CLX_CHECK(options.padding >= 0 && options.padding <= R / 2, "max_pool: expected padding within 0…", R / 2,
            ", got ", options.padding);
  const kernels::PoolShape s{extent(x, 0),   extent(x, 1),   extent(x, 2), extent(x, 3), R,
                             options.stride, options.padding};
  CLX_CHECK(s.H + 2 * s.padding >= R && s.W + 2 * s.padding >= R, "max_pool: expected an image of at least ",
            R, "×", R, " with its padding, got shape ", x.shape());
  Tensor y({s.N, s.P(), s.Q(), s.C}, x.device(), x.dtype());
  Tensor argmax(y.shape(), x.device(), DType::u8);
  on(x.device(), [&](const auto& backend) {
    kernels::max_pool_forward(backend, s, x.view(), y.mutable_view(), argmax.mutable_data<std::uint8_t>());
  });
  return record(
      "max_pool", y, {x}, [s, shape = x.shape(), argmax = Saved(argmax)](const Tensor& dy, const Needs&) {
        Tensor dx(shape, dy.device(), dy.dtype());
        on(dy.device(), [&](const auto& backend) {
          kernels::max_pool_backward(backend, s, dy.view(), argmax.get("max_pool").data<std::uint8_t>(),
                                     dx.mutable_view());
        });
        return std::vector{dx};
      });
}

Tensor global_average_pool(const Tensor& x) {
  require_floating("global_average_pool", "x", x);
  require_rank("global_average_pool", "x (N,H,W,C)", x, 4);
  const int N = extent(x, 0), HW = extent(x, 1) * extent(x, 2), C = extent(x, 3);
  Tensor y({N, C}, x.device());
  on(x.device(), [&](const auto& backend) {
    kernels::average_pool_forward(backend, N, HW, C, x.view(), y.mutable_data());
  });
  return record("global_average_pool", y, {x},
                [=, shape = x.shape(), dtype = x.dtype()](const Tensor& dy, const Needs&) {
                  Tensor dx(shape, dy.device(), dtype);
                  on(dy.device(), [&](const auto& backend) {
                    kernels::average_pool_backward(backend, N, HW, C, dy.data(), dx.mutable_view());
                  });
                  return std::vector{dx};
                });
}

Tensor subsample(const Tensor& x, int channels, int stride) {
  require_floating("subsample", "x", x);
  require_rank("subsample", "x (N,H,W,C)", x, 4);
  const kernels::SubsampleShape s{extent(x, 0), extent(x, 1), extent(x, 2), extent(x, 3), channels, stride};
  CLX_CHECK(stride >= 1, "subsample: expected a stride ≥ 1, got ", stride);
  CLX_CHECK(s.K >= s.C && (s.K - s.C) % 2 == 0, "subsample: expected ", s.C,
            " channels plus an even number, got ", channels);
  Tensor y({s.N, s.P(), s.Q(), s.K}, x.device(), x.dtype());
  on(x.device(),
     [&](const auto& backend) { kernels::subsample_forward(backend, s, x.view(), y.mutable_view()); });
  return record("subsample", y, {x}, [s, shape = x.shape()](const Tensor& dy, const Needs&) {
    Tensor dx(shape, dy.device(), dy.dtype());
    on(dy.device(),
       [&](const auto& backend) { kernels::subsample_backward(backend, s, dy.view(), dx.mutable_view()); });
    return std::vector{dx};
  });
}

}  // namespace clx
