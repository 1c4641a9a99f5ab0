#include "runtime/ops/ladder.h"

#include <type_traits>

#include "kernels/ladder.h"
#include "runtime/dispatch.h"
#include "runtime/ops/require.h"

namespace clx {
namespace {

namespace ladder = kernels::ladder;

/// Calls f(backend, the rungs that backend has); not on the CPU, which has none.
template <class Rungs, class F>
void with_rungs(Device device, const Rungs& rungs_of, F&& f) {
  on(device, [&](const auto& backend) {
    if constexpr (!std::is_same_v<std::decay_t<decltype(backend)>, Cpu>) f(backend, rungs_of(backend));
  });
}
const auto kMatmul = []<class Backend>(const Backend&) -> auto& {
  return ladder::kMatmulRungs<Backend>;
};
const auto kConv = []<class Backend>(const Backend&) -> auto& {
  return ladder::kConvRungs<Backend>;
};
const auto kSum = []<class Backend>(const Backend&) -> auto& {
  return ladder::kSumRungs<Backend>;
};

template <class Rungs>
std::vector<std::string> names(Device device, const Rungs& rungs_of) {
  std::vector<std::string> names;
  with_rungs(device, rungs_of, [&](const auto& backend, const auto& rungs) {
    for (const auto& rung : rungs)
      if (!rung.needs_wgmma || ladder::has_wgmma(backend)) names.emplace_back(rung.name);
  });
  return names;
}

/// Runs the rung of that name.
template <class Rungs, class... Arguments>
void climb(Device device, const Rungs& rungs_of, const std::string& name, Arguments... arguments) {
  bool found = false;
  with_rungs(device, rungs_of, [&](const auto& backend, const auto& rungs) {
    for (const auto& rung : rungs) {
      if (rung.name != name || (rung.needs_wgmma && !ladder::has_wgmma(backend))) continue;
      found = true;
      rung.run(backend, arguments...);
    }
  });
  CLX_CHECK(found, "ladder: expected a rung that ", device, " has, got ", name);
}

int extent(const Tensor& tensor, int axis) {
  return static_cast<int>(tensor.dim(axis));
}

}  // namespace

std::vector<std::string> ladder_matmul_rungs(Device device) {
  return names(device, kMatmul);
}
std::vector<std::string> ladder_conv_rungs(Device device) {
  return names(device, kConv);
}
std::vector<std::string> ladder_sum_rungs(Device device) {
  return names(device, kSum);
}

Tensor ladder_matmul(const std::string& rung, const Tensor& a, const Tensor& b) {
  CLX_CHECK(a.defined() && b.defined(), "ladder_matmul: expected a and b");
  require_rank("ladder_matmul", "a matrix a", a, 2);
  require_rank("ladder_matmul", "a matrix b", b, 2);
  const int M = extent(a, 0), K = extent(a, 1), N = extent(b, 1);
  require("ladder_matmul", "a", a, DType::bf16, {M, K}, b.device());
  require("ladder_matmul", "b", b, DType::bf16, {K, N}, a.device());
  CLX_CHECK(N % 8 == 0 && K % 8 == 0, "ladder_matmul: expected N and K that 8 divides, got ", N, " and ", K);
  Tensor c({M, N}, a.device());
  climb(a.device(), kMatmul, rung, M, N, K, a.data<bf16>(), b.data<bf16>(), c.mutable_data());
  return c;
}

Tensor ladder_conv(const std::string& rung, const Tensor& x, const Tensor& w, int stride, int padding) {
  CLX_CHECK(x.defined() && w.defined(), "ladder_conv: expected x and w");
  require_rank("ladder_conv", "x (N,H,W,C)", x, 4);
  require_rank("ladder_conv", "w (K,R,S,C)", w, 4);
  require("ladder_conv", "x", x, DType::bf16, {x.dim(0), x.dim(1), x.dim(2), w.dim(3)}, w.device());
  require("ladder_conv", "w", w, DType::bf16, w.shape(), x.device());
  const kernels::Conv2dShape s{extent(x, 0), extent(x, 1), extent(x, 2), extent(x, 3), extent(w, 0),
                               extent(w, 1), extent(w, 2), stride,       padding};
  CLX_CHECK(s.C % 8 == 0, "ladder_conv: expected channels that 8 divides, got ", s.C);
  CLX_CHECK(stride >= 1 && padding >= 0 && s.H + 2 * padding >= s.R && s.W + 2 * padding >= s.S,
            "ladder_conv: expected a window inside the padded image, got stride ", stride, " and padding ",
            padding);
  Tensor y({s.N, s.P(), s.Q(), s.K}, x.device());
  climb(x.device(), kConv, rung, s, x.data<bf16>(), w.data<bf16>(), y.mutable_data());
  return y;
}

Tensor ladder_sum(const std::string& rung, const Tensor& x) {
  CLX_CHECK(x.defined() && x.size() > 0, "ladder_sum: expected at least one number");
  require("ladder_sum", "x", x, DType::f32, x.shape(), x.device());
  Tensor y(Shape{}, x.device());
  climb(x.device(), kSum, rung, x.size(), x.data(), y.mutable_data());
  return y;
}

}  // namespace clx
