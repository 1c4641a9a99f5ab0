// Convolutions of ResNets: forward, data gradient, weight gradient.
#include <fmt/format.h>

#include "apps/bench/case.h"
#include "apps/bench/expect.h"
#include "apps/bench/libraries.h"
#include "runtime/autograd.h"
#include "runtime/check.h"
#include "runtime/ops/conv2d.h"

namespace clx::app {
namespace {

struct Size {
  std::int64_t N, C, H, K, R;  // square images and windows
  int stride = 1;

  int padding() const { return static_cast<int>(R / 2); }
  std::int64_t P() const { return (H + 2 * padding() - R) / stride + 1; }
  double flops() const { return 2.0 * static_cast<double>(N * P() * P() * K * R * R * C); }
  double bytes(DType dtype) const {
    return static_cast<double>(
        (N * H * H * C + N * P() * P() * K) * static_cast<std::int64_t>(size_of(dtype)) + K * R * R * C * 4);
  }
  std::string name() const {
    return fmt::format("N{}_C{}_H{}_K{}_R{}{}", N, C, H, K, R,
                       stride == 1 ? "" : fmt::format("_stride{}", stride));
  }
};

// The operands on the device.
struct Operands {
  Size s;
  Conv2dAlgorithm algorithm;
  Tensor x, w, dy;

  Operands(const Size& size, Conv2dAlgorithm algorithm_, Device device, DType dtype)
      : s(size),
        algorithm(algorithm_),
        x(random_tensor({s.N, s.H, s.H, s.C}, device, dtype, 1)),
        w(random_tensor({s.K, s.R, s.R, s.C}, device, DType::f32, 2)),
        dy(random_tensor({s.N, s.P(), s.P(), s.K}, device, dtype, 3)) {}

  Conv2dOptions options() const {
    return {.stride = s.stride, .padding = s.padding(), .algorithm = algorithm};
  }
};

// The same as doubles, with the sum that each result is.
class Direct {
 public:
  explicit Direct(const Operands& operands)
      : s_(operands.s), x_(values(operands.x)), w_(values(operands.w)), dy_(values(operands.dy)) {
    for (double& filter : w_)
      filter = rounded_to(operands.x.dtype(), filter);
  }

  Sum y(std::int64_t i) const {
    const std::int64_t P = s_.P(), k = i % s_.K, q = i / s_.K % P, p = i / s_.K / P % P, n = i / s_.K / P / P;
    Sum sum;
    for (std::int64_t r = 0; r < s_.R; ++r)
      for (std::int64_t s = 0; s < s_.R; ++s)
        for (std::int64_t c = 0; c < s_.C; ++c)
          sum.add(x(n, p * s_.stride + r - s_.padding(), q * s_.stride + s - s_.padding(), c) *
                  w(k, r, s, c));
    return sum;
  }

  Sum dx(std::int64_t i) const {
    const std::int64_t c = i % s_.C, w0 = i / s_.C % s_.H, h0 = i / s_.C / s_.H % s_.H,
                       n = i / s_.C / s_.H / s_.H;
    Sum sum;
    for (std::int64_t r = 0; r < s_.R; ++r)
      for (std::int64_t s = 0; s < s_.R; ++s) {
        const std::int64_t ph = h0 + s_.padding() - r, qw = w0 + s_.padding() - s;
        if (ph < 0 || qw < 0 || ph % s_.stride || qw % s_.stride) continue;
        if (ph / s_.stride >= s_.P() || qw / s_.stride >= s_.P()) continue;
        for (std::int64_t k = 0; k < s_.K; ++k)
          sum.add(dy(n, ph / s_.stride, qw / s_.stride, k) * w(k, r, s, c));
      }
    return sum;
  }

  Sum dw(std::int64_t i) const {
    const std::int64_t c = i % s_.C, s = i / s_.C % s_.R, r = i / s_.C / s_.R % s_.R,
                       k = i / s_.C / s_.R / s_.R;
    Sum sum;
    for (std::int64_t n = 0; n < s_.N; ++n)
      for (std::int64_t p = 0; p < s_.P(); ++p)
        for (std::int64_t q = 0; q < s_.P(); ++q)
          sum.add(dy(n, p, q, k) *
                  x(n, p * s_.stride + r - s_.padding(), q * s_.stride + s - s_.padding(), c));
    return sum;
  }

 private:
  double x(std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c) const {
    if (h < 0 || h >= s_.H || w < 0 || w >= s_.H) return 0;
    return x_[static_cast<std::size_t>(((n * s_.H + h) * s_.H + w) * s_.C + c)];
  }
  double w(std::int64_t k, std::int64_t r, std::int64_t s, std::int64_t c) const {
    return w_[static_cast<std::size_t>(((k * s_.R + r) * s_.R + s) * s_.C + c)];
  }
  double dy(std::int64_t n, std::int64_t p, std::int64_t q, std::int64_t k) const {
    return dy_[static_cast<std::size_t>(((n * s_.P() + p) * s_.P() + q) * s_.K + k)];
  }

  Size s_;
  std::vector<double> x_, w_, dy_;
};

using DirectSum = Sum (Direct::*)(std::int64_t) const;

// Whether a CPU multiplies 16-bit fixed-point numbers: bf16 by Winograd's algorithm
// (kernels/conv2d_algorithm.h).
bool fixed_point(const Operands& o, const Tensor& result) {
  return o.x.device().kind == DeviceKind::cpu && result.dtype() == DType::bf16 &&
         o.algorithm != Conv2dAlgorithm::direct && o.s.R == 3 && o.s.stride == 1 && o.s.C % 16 == 0;
}

void check(const char* what, const Tensor& result, const Operands& operands, DirectSum expected) {
  const Direct direct(operands);
  const std::vector<double> got = values(result);
  // cuDNN rounds every result to the operands' type.
  const DType rounded = operands.algorithm == Conv2dAlgorithm::cudnn ? operands.x.dtype() : result.dtype();
  const double tolerance = fixed_point(operands, result) ? 5e-4 : 1e-5;
  for (const std::int64_t i : some_of(result.size()))
    expect_close(what, i, got[static_cast<std::size_t>(i)], (direct.*expected)(i), rounded, tolerance);
}

Workload forward(const Operands& o) {
  const auto run = [o] { return conv2d(o.x, o.w, o.options()); };
  return {run, [o, run] { check("y", run(), o, &Direct::y); }};
}

// The gradient of one operand, of a graph that is recorded once.
Workload backward(Operands o, bool of_data) {
  Tensor& operand = of_data ? o.x : o.w;
  operand.require_grad();
  const Tensor y = conv2d(o.x, o.w, o.options());
  const auto run = [o, y, leaf = operand] { return grad(y, {leaf}, {.dy = o.dy, .keep_graph = true})[0]; };
  return {run,
          [o, run, of_data] { check(of_data ? "dx" : "dw", run(), o, of_data ? &Direct::dx : &Direct::dw); }};
}

}  // namespace

std::vector<Case> convolution_cases(Device device) {
  std::vector<Size> sizes = {{64, 3, 32, 64, 3},      {64, 16, 32, 16, 3},     {64, 64, 32, 64, 3},
                             {64, 64, 32, 128, 3, 2}, {64, 128, 16, 128, 3},   {64, 256, 8, 256, 3},
                             {64, 512, 4, 512, 3},    {64, 256, 8, 512, 1, 2}, {8, 64, 56, 256, 1},
                             {8, 1024, 14, 256, 1}};
  if (device.kind == DeviceKind::emulated) sizes = {{1, 16, 8, 16, 3}, {1, 8, 9, 16, 3, 2}};
  const bool beside_cudnn = has_cudnn(device);
  std::vector<Case> cases;
  const auto add = [&](const char* what, const Size& size, DType dtype,
                       std::function<Workload(Operands)> make) {
    const auto by = [&](Conv2dAlgorithm algorithm) {
      return Case{.name = fmt::format("{}/{}/{}_{}", what, concat(device), size.name(), name_of(dtype)),
                  .bound = Bound::arithmetic,
                  .dtype = dtype,
                  .flops = size.flops(),
                  .bytes = size.bytes(dtype),
                  .prepare = [=] { return make(Operands(size, algorithm, device, dtype)); }};
    };
    add_row("cudnn", beside_cudnn, by(Conv2dAlgorithm::cudnn), by(Conv2dAlgorithm::automatic), &cases);
  };
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const Size& size : sizes) {
      add("conv2d_forward", size, dtype, forward);
      add("conv2d_backward_data", size, dtype, [](Operands o) { return backward(std::move(o), true); });
      add("conv2d_backward_weight", size, dtype, [](Operands o) { return backward(std::move(o), false); });
    }
  return cases;
}

}  // namespace clx::app
