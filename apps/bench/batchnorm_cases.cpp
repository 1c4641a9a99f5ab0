// Batch normalisation with ReLU in training, forward and backward.
#include <algorithm>
#include <fmt/format.h>
#include <memory>

#include "apps/bench/case.h"
#include "apps/bench/expect.h"
#include "runtime/autograd.h"
#include "runtime/check.h"
#include "runtime/ops/batchnorm.h"

namespace clx::app {
namespace {

// Per element: statistics 4 and normalisation with ReLU 3; two sums 5 and the gradient 5.
constexpr double kForwardFlops = 7, kBackwardFlops = 10;
constexpr double kEps = 1e-5;

struct Operands {
  Tensor x, dy, gamma, beta, running_mean, running_var;

  Operands(const Shape& shape, Device device, DType dtype)
      : x(random_tensor(shape, device, dtype, 1)),
        dy(random_tensor(shape, device, dtype, 2)),
        gamma(random_tensor({shape[-1]}, device, DType::f32, 3)),
        beta(random_tensor({shape[-1]}, device, DType::f32, 4)),
        running_mean(Tensor::zeros({shape[-1]}, device)),
        running_var(Tensor::full({shape[-1]}, 1, device)) {}

  Tensor forward() {
    return batchnorm(x, gamma, beta, running_mean, running_var,
                     {.training = true, .eps = static_cast<float>(kEps), .relu = true});
  }
};

// One channel in doubles.
struct Channel {
  std::vector<double> normalised, dy;
  double gamma = 0, beta = 0, scale = 0;  // scale = 1/√(var + eps)

  Channel(const Operands& o, std::int64_t c) {
    const std::int64_t C = o.x.dim(-1);
    const std::vector<double> x = values(o.x), from_dy = values(o.dy);
    for (std::int64_t i = c; i < o.x.size(); i += C) {
      normalised.push_back(x[static_cast<std::size_t>(i)]);
      dy.push_back(from_dy[static_cast<std::size_t>(i)]);
    }
    double mean = 0, var = 0;
    for (const double value : normalised)
      mean += value / rows();
    for (const double value : normalised)
      var += (value - mean) * (value - mean) / rows();
    scale = 1 / std::sqrt(var + kEps);
    for (double& value : normalised)
      value = (value - mean) * scale;
    gamma = values(o.gamma)[static_cast<std::size_t>(c)];
    beta = values(o.beta)[static_cast<std::size_t>(c)];
  }
  double rows() const { return static_cast<double>(normalised.size()); }
};

void check_forward(const Operands& o, const Tensor& y) {
  const std::vector<double> got = values(y);
  const std::int64_t C = y.dim(-1);
  for (const std::int64_t c : some_of(C, 4)) {
    const Channel channel(o, c);
    for (const std::int64_t row : some_of(y.size() / C)) {
      Sum sum;
      sum.add(channel.gamma * channel.normalised[static_cast<std::size_t>(row)]);
      sum.add(channel.beta);
      sum.value = std::max(sum.value, 0.0);
      expect_close("y", row * C + c, got[static_cast<std::size_t>(row * C + c)], sum, y.dtype());
    }
  }
}

// dx = gamma·scale·(g − mean(g) − x̂·mean(g·x̂)), g = dy where y > 0; dgamma = Σ g·x̂; dbeta = Σ g.
void check_backward(const Operands& o, const Tensor& y, const std::vector<Tensor>& gradients) {
  const std::int64_t C = y.dim(-1);
  const std::vector<double> from_y = values(y), dx = values(gradients[0]);
  for (const std::int64_t c : some_of(C, 4)) {
    Channel channel(o, c);
    Sum dgamma, dbeta;
    for (std::size_t row = 0; row < channel.dy.size(); ++row) {
      if (from_y[row * static_cast<std::size_t>(C) + static_cast<std::size_t>(c)] <= 0) channel.dy[row] = 0;
      dgamma.add(channel.dy[row] * channel.normalised[row]);
      dbeta.add(channel.dy[row]);
    }
    expect_close("dgamma", c, values(gradients[1])[static_cast<std::size_t>(c)], dgamma, DType::f32);
    expect_close("dbeta", c, values(gradients[2])[static_cast<std::size_t>(c)], dbeta, DType::f32);
    const double factor = channel.gamma * channel.scale;
    for (const std::int64_t row : some_of(y.size() / C)) {
      const auto r = static_cast<std::size_t>(row);
      Sum sum;
      sum.add(factor * channel.dy[r]);
      sum.add(-factor * dbeta.value / channel.rows());
      sum.add(-factor * channel.normalised[r] * dgamma.value / channel.rows());
      expect_close("dx", row * C + c, dx[static_cast<std::size_t>(row * C + c)], sum, y.dtype());
    }
  }
}

Workload forward(const Shape& shape, Device device, DType dtype) {
  const auto o = std::make_shared<Operands>(shape, device, dtype);
  return {[o] { o->forward(); }, [o] { check_forward(*o, o->forward()); }};
}

Workload backward(const Shape& shape, Device device, DType dtype) {
  const auto o = std::make_shared<Operands>(shape, device, dtype);
  for (Tensor* leaf : {&o->x, &o->gamma, &o->beta})
    leaf->require_grad();
  const Tensor y = o->forward();
  const auto run = [o, y] { return grad(y, {o->x, o->gamma, o->beta}, {.dy = o->dy, .keep_graph = true}); };
  return {run, [o, y, run] { check_backward(*o, y, run()); }};
}

}  // namespace

std::vector<Case> batchnorm_cases(Device device) {
  std::vector<Shape> shapes = {{64, 32, 32, 64}, {64, 8, 8, 256}, {8, 56, 56, 256}};
  if (device.kind == DeviceKind::emulated) shapes = {{2, 8, 8, 16}};
  std::vector<Case> cases;
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const Shape& shape : shapes) {
      const auto elements = static_cast<double>(shape.size());
      const double bytes = elements * static_cast<double>(size_of(dtype));
      const std::string size =
          fmt::format("{}/N{}_C{}_H{}_{}", concat(device), shape[0], shape[3], shape[1], name_of(dtype));
      cases.push_back({.name = "batchnorm_relu_forward/" + size,
                       .bound = Bound::memory,
                       .dtype = dtype,
                       .flops = kForwardFlops * elements,
                       .bytes = 2 * bytes,
                       .prepare = [=] { return forward(shape, device, dtype); }});
      cases.push_back({.name = "batchnorm_relu_backward/" + size,
                       .bound = Bound::memory,
                       .dtype = dtype,
                       .flops = kBackwardFlops * elements,
                       .bytes = 3 * bytes,
                       .prepare = [=] { return backward(shape, device, dtype); }});
    }
  return cases;
}

}  // namespace clx::app
