// The supervised contrastive loss with its gradient, as a training step computes both.
#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "apps/bench/case.h"
#include "apps/bench/expect.h"
#include "runtime/autograd.h"
#include "runtime/check.h"
#include "runtime/ops/l2_normalize.h"
#include "runtime/ops/supcon.h"

namespace clx::app {
namespace {

constexpr float kTemperature = 0.1f;
constexpr std::int64_t kDistinct =
    61;  // embedding i is that of point i mod 61, whose class is its last digit

// What N embeddings of so few points amount to, from the similarities of the points: exact, whatever N.
class Points {
 public:
  Points(std::int64_t N, std::int64_t D, Device device)
      : N_(N), D_(D), points_(l2_normalize(random_tensor({count(), D}, device, DType::f32, 1))) {
    const std::vector<double> v = values(points_);
    const auto n = static_cast<std::size_t>(count()), d = static_cast<std::size_t>(D);
    S_.resize(n * n);
    for (std::size_t g = 0; g < n; ++g)
      for (std::size_t h = 0; h < n; ++h) {
        for (std::size_t k = 0; k < d; ++k)
          S_[g * n + h] += v[g * d + k] * v[h * d + k];
        S_[g * n + h] /= static_cast<double>(kTemperature);
      }
    for (std::int64_t g = 0; g < count(); ++g) {
      double sum = 0, positives = 0;
      for (std::int64_t h = 0; h < count(); ++h) {
        sum += others(g, h) * std::exp(S(g, h));
        if (same(g, h)) positives += others(g, h);
      }
      log_sum_.push_back(std::log(sum));
      positives_.push_back(positives);
    }
  }

  Tensor embeddings() const {
    const std::vector<float> from = points_.to_host();
    std::vector<float> z;
    for (std::int64_t i = 0; i < N_; ++i)
      z.insert(z.end(), from.begin() + i % count() * D_, from.begin() + (i % count() + 1) * D_);
    return Tensor::from_host({N_, D_}, z, points_.device());
  }
  Tensor labels() const {
    std::vector<std::int32_t> labels;
    for (std::int64_t i = 0; i < N_; ++i)
      labels.push_back(static_cast<std::int32_t>(i % count() % 10));
    return Tensor::from_host({N_}, labels, points_.device());
  }

  Sum loss() const {
    Sum sum;
    for (std::int64_t g = 0; g < count(); ++g) {
      const double anchors = size(g) / static_cast<double>(N_);
      if (positives(g) == 0) continue;
      sum.add(anchors * log_sum(g));
      for (std::int64_t h = 0; h < count(); ++h)
        if (same(g, h)) sum.add(-anchors * others(g, h) * S(g, h) / positives(g));
    }
    return sum;
  }
  // ∂loss/∂z[i,d]
  Sum gradient(std::int64_t i, std::int64_t d, const std::vector<double>& z) const {
    const std::int64_t g = i % count();
    Sum sum;
    for (std::int64_t h = 0; h < count(); ++h) {
      const double factor = others(g, h) * z[static_cast<std::size_t>(h * D_ + d)] /
                            (static_cast<double>(N_) * static_cast<double>(kTemperature));
      for (const std::int64_t anchor : {g, h}) {
        if (positives(anchor) == 0) continue;
        sum.add(factor * std::exp(S(g, h) - log_sum(anchor)));
        if (same(g, h)) sum.add(-factor / positives(anchor));
      }
    }
    return sum;
  }

 private:
  std::int64_t count() const { return std::min(N_, kDistinct); }
  double S(std::int64_t g, std::int64_t h) const { return S_[static_cast<std::size_t>(g * count() + h)]; }
  double log_sum(std::int64_t g) const { return log_sum_[static_cast<std::size_t>(g)]; }
  double positives(std::int64_t g) const { return positives_[static_cast<std::size_t>(g)]; }
  static bool same(std::int64_t g, std::int64_t h) { return g % 10 == h % 10; }
  double size(std::int64_t g) const { return static_cast<double>((N_ - g + count() - 1) / count()); }
  // How many embeddings of point h an embedding of point g has beside itself.
  double others(std::int64_t g, std::int64_t h) const { return size(h) - (g == h ? 1 : 0); }

  std::int64_t N_, D_;
  Tensor points_;
  std::vector<double> S_, log_sum_, positives_;
};

Workload supcon_and_gradient(std::int64_t N, std::int64_t D, Device device) {
  const Points points(N, D, device);
  Tensor z = points.embeddings();
  z.require_grad();
  const Tensor labels = points.labels();
  const auto run = [=] {
    const Tensor loss = supcon(z, labels, {.temperature = kTemperature});
    return std::pair{loss.detach(), grad(loss, {z})[0]};
  };
  return {[=] { run(); },
          [=] {
            const auto [loss, gradient] = run();
            expect_close("loss", 0, loss.item(), points.loss(), DType::f32);
            const std::vector<double> x = values(z), dz = values(gradient);
            for (const std::int64_t at : some_of(N * D, 1000))
              expect_close("dz", at, dz[static_cast<std::size_t>(at)], points.gradient(at / D, at % D, x),
                           DType::f32);
          }};
}

}  // namespace

std::vector<Case> supcon_cases(Device device) {
  const bool emulated = device.kind == DeviceKind::emulated;
  const std::int64_t D = emulated ? 16 : 128;
  std::vector<Case> cases;
  for (const std::int64_t N :
       emulated ? std::vector<std::int64_t>{70} : std::vector<std::int64_t>{1024, 8192, 65536}) {
    const auto n = static_cast<double>(N), size = static_cast<double>(N * D);
    cases.push_back({.name = fmt::format("supcon_and_gradient/{}/N{}_D{}_f32", concat(device), N, D),
                     .bound = Bound::arithmetic,
                     .flops = 3 * n * size,  // S = z·zᵀ is symmetric: N²·D; its gradient times z: 2·N²·D
                     .bytes = 2 * 4 * size,
                     .prepare = [=] { return supcon_and_gradient(N, D, device); }});
  }
  return cases;
}

}  // namespace clx::app
