// Matrix products, and the fully connected layer of a classifier's head.
#include <fmt/format.h>

#include "apps/bench/case.h"
#include "apps/bench/expect.h"
#include "apps/bench/libraries.h"
#include "runtime/check.h"
#include "runtime/ops/linear.h"

namespace clx::app {
namespace {

// y = a·b, or a·bᵀ + bias.
Workload product(const Tensor& a, const Tensor& b, const Tensor& bias, MatmulAlgorithm algorithm) {
  const bool layer = bias.defined();
  const auto run = [=] {
    return layer ? linear(a, b, bias, {.algorithm = algorithm}) : matmul(a, b, {.algorithm = algorithm});
  };
  return {run, [=] {
            const Tensor y = run();
            const std::vector<double> got = values(y), from_a = values(a), from_b = values(b);
            const std::int64_t N = y.dim(1), K = a.dim(1);
            for (const std::int64_t i : some_of(y.size())) {
              Sum sum;
              for (std::int64_t k = 0; k < K; ++k)
                sum.add(from_a[static_cast<std::size_t>(i / N * K + k)] *
                        from_b[static_cast<std::size_t>(layer ? i % N * K + k : k * N + i % N)]);
              if (layer) sum.add(values(bias)[static_cast<std::size_t>(i % N)]);
              expect_close("y", i, got[static_cast<std::size_t>(i)], sum, y.dtype());
            }
          }};
}

}  // namespace

std::vector<Case> product_cases(Device device) {
  const bool emulated = device.kind == DeviceKind::emulated;
  struct Size {
    std::int64_t M, N, K;
    double multiplications() const { return static_cast<double>(M * N * K); }
    double moved(DType dtype) const {
      return static_cast<double>((M * K + K * N) * static_cast<std::int64_t>(size_of(dtype)) + M * N * 4);
    }
  };
  const bool beside_cublas = has_cublas(device);
  std::vector<Case> cases;
  const auto add = [&](std::string name, const Size& size, DType dtype,
                       std::function<Workload(MatmulAlgorithm)> make) {
    const auto by = [&](MatmulAlgorithm algorithm) {
      return Case{.name = name,
                  .bound = Bound::arithmetic,
                  .dtype = dtype,
                  .flops = 2 * size.multiplications(),
                  .bytes = size.moved(dtype),
                  .prepare = [=] { return make(algorithm); }};
    };
    add_row("cublas", beside_cublas, by(MatmulAlgorithm::cublas), by(MatmulAlgorithm::automatic), &cases);
  };
  const Size square = emulated ? Size{32, 32, 32} : Size{1024, 1024, 1024};
  for (const DType dtype : {DType::f32, DType::bf16})
    add(fmt::format("matmul/{}/M{}_N{}_K{}_{}", concat(device), square.M, square.N, square.K, name_of(dtype)),
        square, dtype, [=](MatmulAlgorithm algorithm) {
          return product(random_tensor({square.M, square.K}, device, dtype, 1),
                         random_tensor({square.K, square.N}, device, dtype, 2), {}, algorithm);
        });
  const Size head = emulated ? Size{4, 10, 64} : Size{256, 1000, 2048};
  add(fmt::format("linear/{}/N{}_D{}_K{}_f32", concat(device), head.M, head.K, head.N), head, DType::f32,
      [=](MatmulAlgorithm algorithm) {
        return product(random_tensor({head.M, head.K}, device, DType::f32, 1),
                       random_tensor({head.N, head.K}, device, DType::f32, 2),
                       random_tensor({head.N}, device, DType::f32, 3), algorithm);
      });
  return cases;
}

}  // namespace clx::app
