#include "runtime/ops/linear.h"

#include <atomic>

#include "kernels/matmul.h"
#include "runtime/autograd.h"
#include "runtime/dispatch.h"
#include "runtime/ops/require.h"

namespace clx {
namespace {

std::atomic<MatmulAlgorithm>& chosen_algorithm() {
  static std::atomic<MatmulAlgorithm> algorithm{MatmulAlgorithm::automatic};
  return algorithm;
}

bool known_on(Device device, MatmulAlgorithm algorithm) {
  switch (algorithm) {
    case MatmulAlgorithm::custom:
      return device.kind != DeviceKind::cpu;
    case MatmulAlgorithm::cublas:
      return device.kind == DeviceKind::cuda;
    default:
      return true;
  }
}

void require_known(MatmulAlgorithm algorithm, Device device) {
  constexpr const char* kNames[] = {"auto", "custom", "cublas"};
  CLX_CHECK(known_on(device, algorithm), "matmul: expected auto",
            known_on(device, MatmulAlgorithm::custom) ? " or custom on " : " on ", device, ", got ",
            kNames[static_cast<std::size_t>(algorithm)]);
}

// The algorithm of a call on `device`.
MatmulAlgorithm chosen_for(Device device, MatmulAlgorithm asked) {
  require_known(asked, device);
  const MatmulAlgorithm chosen = chosen_algorithm();
  return asked == MatmulAlgorithm::automatic && known_on(device, chosen) ? chosen : asked;
}

// How factors are multiplied.
struct Way {
  bool tf32 = false;
  MatmulAlgorithm algorithm = MatmulAlgorithm::automatic;
};

// C = op(A)·op(B) + bias, without history.
Tensor product(const Tensor& a,
               bool transpose_a,
               const Tensor& b,
               bool transpose_b,
               const Way& way = {},
               const Tensor& bias = {}) {
  const int M = static_cast<int>(a.dim(transpose_a ? 1 : 0)),
            K = static_cast<int>(a.dim(transpose_a ? 0 : 1));
  const int N = static_cast<int>(b.dim(transpose_b ? 0 : 1));
  Tensor c({M, N}, a.device());
  const MatmulAlgorithm algorithm = chosen_for(a.device(), way.algorithm);
  on(a.device(), [&](const auto& backend) {
    kernels::matmul(backend, {M, N, K, transpose_a, transpose_b, algorithm},
                    way.tf32 ? kernels::Math::tf32 : kernels::Math::f32, a.view(), b.view(),
                    bias.defined() ? bias.data() : nullptr, c.mutable_data());
  });
  return c;
}

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b, const MatmulOptions& options) {
  require_floating("matmul", "a", a);
  require_rank("matmul", "a matrix a", a, 2);
  CLX_CHECK(b.defined() && b.dtype() == a.dtype() && b.device() == a.device(),
            "matmul: expected both operands in one dtype on one device");
  require_rank("matmul", "a matrix b", b, 2);
  const bool ta = options.transpose_a, tb = options.transpose_b;
  CLX_CHECK(a.dim(ta ? 0 : 1) == b.dim(tb ? 1 : 0), "matmul: expected equal inner extents, got ",
            a.dim(ta ? 0 : 1), " and ", b.dim(tb ? 1 : 0));
  CLX_CHECK(a.dtype() == DType::f32 || !grad_enabled() || (!a.requires_grad() && !b.requires_grad()),
            "matmul: gradients are for f32 operands, got ", name_of(a.dtype()));
  const Way way{options.tf32, options.algorithm};
  return record("matmul", product(a, ta, b, tb, way), {a, b},
                [ta, tb, way, a = Saved(a), b = Saved(b)](const Tensor& dc, const Needs& needs) {
                  Tensor da, db;
                  if (needs[0]) {
                    const Tensor& B = b.get("matmul");
                    da = ta ? product(B, tb, dc, true, way) : product(dc, false, B, !tb, way);
                  }
                  if (needs[1]) {
                    const Tensor& A = a.get("matmul");
                    db = tb ? product(dc, true, A, ta, way) : product(A, !ta, dc, false, way);
                  }
                  return std::vector{da, db};
                });
}

Tensor linear(const Tensor& x, const Tensor& w, const Tensor& b, const LinearOptions& options) {
  CLX_CHECK(x.defined() && w.defined(), "linear: expected x and w");
  require_rank("linear", "x (N,D)", x, 2);
  require_rank("linear", "w (K,D)", w, 2);
  require("linear", "x", x, DType::f32, {x.dim(0), w.dim(1)}, w.device());
  require("linear", "w", w, DType::f32, w.shape(), x.device());
  if (b.defined()) require("linear", "b", b, DType::f32, {w.dim(0)}, x.device());
  const Way way{.algorithm = options.algorithm};
  return record("linear", product(x, false, w, true, way, b), {x, w, b},
                [way, x = Saved(x), w = Saved(w)](const Tensor& dy, const Needs& needs) {
                  Tensor dx, dw, db;
                  if (needs[0]) dx = product(dy, false, w.get("linear"), false, way);
                  if (needs[1]) dw = product(dy, true, x.get("linear"), false, way);
                  if (needs[2]) {
                    db = Tensor({dy.dim(1)}, dy.device());
                    on(dy.device(), [&](const auto& backend) {
                      kernels::column_sum(backend, static_cast<int>(dy.dim(0)), static_cast<int>(dy.dim(1)),
                                          dy.data(), db.mutable_data());
                    });
                  }
                  return std::vector{dx, dw, db};
                });
}

void set_matmul_algorithm(MatmulAlgorithm algorithm) {
  chosen_algorithm() = algorithm;
}

void require_matmul_algorithm(MatmulAlgorithm algorithm, Device device) {
  require_known(algorithm, device);
  if constexpr (kHasCuda)
    if (algorithm == MatmulAlgorithm::cublas) kernels::require_cublas();
}

}  // namespace clx
