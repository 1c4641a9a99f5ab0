// Passes over activations: add, relu, max_pool.
#include <algorithm>
#include <fmt/format.h>
#include <limits>

#include "apps/bench/case.h"
#include "apps/bench/expect.h"
#include "runtime/check.h"
#include "runtime/ops/add.h"
#include "runtime/ops/pool.h"
#include "runtime/ops/relu.h"

namespace clx::app {
namespace {

// The result at one position of results that are exact up to rounding.
using Expected =
    std::function<double(const std::vector<double>& a, const std::vector<double>& b, std::size_t i)>;

Workload workload(const Tensor& a, const Tensor& b, std::function<Tensor()> run, Expected expected) {
  return {run, [=] {
            const Tensor y = run();
            const std::vector<double> got = values(y), from_a = values(a), from_b = values(b);
            for (const std::int64_t i : some_of(y.size())) {
              const double value =
                  rounded_to(y.dtype(), expected(from_a, from_b, static_cast<std::size_t>(i)));
              expect_close("y", i, got[static_cast<std::size_t>(i)], {value, std::abs(value)}, DType::f32);
            }
          }};
}

Workload add_of(const Shape& shape, Device device, DType dtype) {
  const Tensor a = random_tensor(shape, device, dtype, 1), b = random_tensor(shape, device, dtype, 2);
  return workload(
      a, b, [=] { return add(a, b); },
      [](const auto& from_a, const auto& from_b, std::size_t i) { return from_a[i] + from_b[i]; });
}

Workload relu_of(const Shape& shape, Device device, DType dtype) {
  const Tensor x = random_tensor(shape, device, dtype, 1);
  return workload(
      x, x, [=] { return relu(x); },
      [](const auto& from, const auto&, std::size_t i) { return std::max(from[i], 0.0); });
}

// The 3×3 windows with stride 2 of ResNet-50's stem.
constexpr MaxPoolOptions kPool{.window = 3, .stride = 2, .padding = 1};

Workload max_pool_of(const Shape& shape, Device device, DType dtype) {
  const Tensor x = random_tensor(shape, device, dtype, 1);
  const std::int64_t H = shape[1], C = shape[3], P = (H - 1) / 2 + 1;
  return workload(
      x, x, [=] { return max_pool(x, kPool); },
      [=](const auto& from, const auto&, std::size_t index) {
        const auto i = static_cast<std::int64_t>(index);
        const std::int64_t c = i % C, q = i / C % P, p = i / C / P % P, n = i / C / P / P;
        double most = -std::numeric_limits<double>::infinity();
        for (std::int64_t h = std::max<std::int64_t>(2 * p - 1, 0); h <= std::min(2 * p + 1, H - 1); ++h)
          for (std::int64_t w = std::max<std::int64_t>(2 * q - 1, 0); w <= std::min(2 * q + 1, H - 1); ++w)
            most = std::max(most, from[static_cast<std::size_t>(((n * H + h) * H + w) * C + c)]);
        return most;
      });
}

}  // namespace

std::vector<Case> elementwise_cases(Device device) {
  const Shape shape = device.kind == DeviceKind::emulated ? Shape{1, 8, 8, 16} : Shape{64, 32, 32, 64};
  const auto elements = static_cast<double>(shape.size());
  struct Op {
    const char* name;
    double flops, moved;  // per element of x
    Workload (*make)(const Shape&, Device, DType);
  };
  std::vector<Case> cases;
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const Op& op :
         {Op{"add", 1, 3, add_of}, Op{"relu", 1, 2, relu_of}, Op{"max_pool", 2, 1.25, max_pool_of}})
      cases.push_back({.name = fmt::format("{}/{}/N{}_C{}_H{}_{}", op.name, concat(device), shape[0],
                                           shape[3], shape[1], name_of(dtype)),
                       .bound = Bound::memory,
                       .dtype = dtype,
                       .flops = op.flops * elements,
                       .bytes = op.moved * elements * static_cast<double>(size_of(dtype)),
                       .prepare = [=] { return op.make(shape, device, dtype); }});
  return cases;
}

}  // namespace clx::app
