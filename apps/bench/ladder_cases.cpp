// The rungs of the teaching ladder: of each family the same problem by every rung.
#include <fmt/format.h>

#include "apps/bench/case.h"
#include "apps/bench/expect.h"
#include "runtime/check.h"
#include "runtime/ops/ladder.h"

namespace clx::app {
namespace {

Workload matmul_workload(const std::string& rung, const Tensor& a, const Tensor& b) {
  const auto run = [=] { return ladder_matmul(rung, a, b); };
  return {run, [=] {
            const std::vector<double> got = values(run()), from_a = values(a), from_b = values(b);
            const std::int64_t N = b.dim(1), K = a.dim(1);
            for (const std::int64_t i : some_of(a.dim(0) * N)) {
              Sum sum;
              for (std::int64_t k = 0; k < K; ++k)
                sum.add(from_a[std::size_t(i / N * K + k)] * from_b[std::size_t(k * N + i % N)]);
              expect_close("C", i, got[std::size_t(i)], sum, DType::f32);
            }
          }};
}

// 3×3 filters, stride 1, padding 1.
Workload conv_workload(const std::string& rung, const Tensor& x, const Tensor& w) {
  const auto run = [=] { return ladder_conv(rung, x, w, 1, 1); };
  return {run, [=] {
            const std::vector<double> got = values(run()), from_x = values(x), from_w = values(w);
            const std::int64_t H = x.dim(1), W = x.dim(2), C = x.dim(3), K = w.dim(0);
            for (const std::int64_t i : some_of(x.dim(0) * H * W * K)) {
              const std::int64_t k = i % K, q = i / K % W, p = i / K / W % H, n = i / K / W / H;
              Sum sum;
              for (std::int64_t r = 0; r < 3; ++r)
                for (std::int64_t s = 0; s < 3; ++s) {
                  const std::int64_t h = p + r - 1, v = q + s - 1;
                  if (h < 0 || h >= H || v < 0 || v >= W) continue;
                  for (std::int64_t c = 0; c < C; ++c)
                    sum.add(from_x[std::size_t(((n * H + h) * W + v) * C + c)] *
                            from_w[std::size_t(((k * 3 + r) * 3 + s) * C + c)]);
                }
              expect_close("y", i, got[std::size_t(i)], sum, DType::f32);
            }
          }};
}

Workload sum_workload(const std::string& rung, const Tensor& x) {
  const auto run = [=] { return ladder_sum(rung, x); };
  return {run, [=] {
            Sum sum;
            for (const double value : values(x))
              sum.add(value);
            expect_close("sum", 0, run().item(), sum, DType::f32);
          }};
}

}  // namespace

std::vector<Case> ladder_cases(Device device) {
  const bool emulated = device.kind == DeviceKind::emulated;
  std::vector<Case> cases;
  const std::int64_t M = emulated ? 40 : 2048;
  for (const std::string& rung : ladder_matmul_rungs(device))
    cases.push_back(
        {.name = fmt::format("ladder_matmul_{}/{}/M{}_N{}_K{}_bf16", rung, concat(device), M, M, M),
         .bound = Bound::arithmetic,
         .dtype = DType::bf16,
         .flops = 2.0 * static_cast<double>(M * M * M),
         .bytes = static_cast<double>(M * M * (2 + 2 + 4)),
         .prepare = [=] {
           return matmul_workload(rung, random_tensor({M, M}, device, DType::bf16, 1),
                                  random_tensor({M, M}, device, DType::bf16, 2));
         }});
  const std::int64_t N = emulated ? 1 : 64, C = emulated ? 8 : 128, H = emulated ? 5 : 16;
  for (const std::string& rung : ladder_conv_rungs(device))
    cases.push_back(
        {.name = fmt::format("ladder_conv_{}/{}/N{}_C{}_H{}_K{}_R3_bf16", rung, concat(device), N, C, H, C),
         .bound = Bound::arithmetic,
         .dtype = DType::bf16,
         .flops = 2.0 * static_cast<double>(N * H * H * C * C * 9),
         .bytes = static_cast<double>(N * H * H * C * (2 + 4) + C * C * 9 * 2),
         .prepare = [=] {
           return conv_workload(rung, random_tensor({N, H, H, C}, device, DType::bf16, 1),
                                random_tensor({C, 3, 3, C}, device, DType::bf16, 2));
         }});
  const std::int64_t n = emulated ? 5000 : 1 << 26;
  for (const std::string& rung : ladder_sum_rungs(device))
    cases.push_back(
        {.name = fmt::format("ladder_sum_{}/{}/n{}_f32", rung, concat(device), n),
         .bound = Bound::memory,
         .flops = static_cast<double>(n),
         .bytes = static_cast<double>(n) * 4,
         .prepare = [=] { return sum_workload(rung, random_tensor({n}, device, DType::f32, 1)); }});
  return cases;
}

}  // namespace clx::app
