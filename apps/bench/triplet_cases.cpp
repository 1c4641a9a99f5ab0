// The triplet loss with its mining and its gradient, as a training step computes them.
#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "apps/bench/case.h"
#include "apps/bench/expect.h"
#include "runtime/autograd.h"
#include "runtime/check.h"
#include "runtime/ops/l2_normalize.h"
#include "runtime/ops/triplet.h"

namespace clx::app {
namespace {

constexpr float kMargin = 0.3f;
// Embedding i is that of point i mod 61, whose class is its last digit: what N embeddings of so few points
// amount to follows from the points' distances, exactly, whatever N.
constexpr std::int64_t kDistinct = 61;
// No triplet of points is closer to being counted or not: rounding decides none.
constexpr double kClear = 1e-5;

class Points {
 public:
  Points(std::int64_t N, std::int64_t D, Device device) : N_(N), D_(D) {
    std::uint64_t seed = 0;
    do {
      points_ = l2_normalize(random_tensor({count(), D}, device, DType::f32, ++seed));
      measure();
    } while (!clear());
    mine();
  }

  Tensor embeddings() const {
    const std::vector<float> from = points_.to_host();
    std::vector<float> x;
    for (std::int64_t i = 0; i < N_; ++i)
      x.insert(x.end(), from.begin() + i % count() * D_, from.begin() + (i % count() + 1) * D_);
    return Tensor::from_host({N_, D_}, x, points_.device());
  }
  Tensor labels() const {
    std::vector<std::int32_t> labels;
    for (std::int64_t i = 0; i < N_; ++i)
      labels.push_back(static_cast<std::int32_t>(i % count() % 10));
    return Tensor::from_host({N_}, labels, points_.device());
  }

  double active() const { return active_; }
  Sum loss() const { return loss_; }
  // ∂loss/∂x[i,d]
  Sum gradient(std::int64_t i, std::int64_t d) const {
    const std::int64_t g = i % count();
    Sum sum;
    const auto x = [&](std::int64_t point) { return x_[static_cast<std::size_t>(point * D_ + d)]; };
    for (std::int64_t h = 0; h < count(); ++h)
      for (const double c : {C_[at(g, h)], C_[at(h, g)]}) {
        if (h == g || c == 0) continue;
        sum.add(others(g, h) * c * x(g) / d_[at(g, h)]);
        sum.add(-others(g, h) * c * x(h) / d_[at(g, h)]);
      }
    return sum;
  }

 private:
  void measure() {
    x_ = values(points_);
    d_.assign(static_cast<std::size_t>(count() * count()), 0);
    for (std::int64_t g = 0; g < count(); ++g)
      for (std::int64_t h = 0; h < count(); ++h) {
        double square = 0;
        for (std::int64_t k = 0; k < D_; ++k) {
          const double difference =
              x_[static_cast<std::size_t>(g * D_ + k)] - x_[static_cast<std::size_t>(h * D_ + k)];
          square += difference * difference;
        }
        d_[at(g, h)] = std::sqrt(square);
      }
  }

  // visit(g, h, k, d_gh − d_gk) for every anchor g with a positive h and a negative k.
  template <class Visit>
  void triplets(const Visit& visit) const {
    for (std::int64_t g = 0; g < count(); ++g)
      for (std::int64_t h = 0; h < count(); ++h)
        for (std::int64_t k = 0; k < count(); ++k)
          if (g % 10 == h % 10 && g % 10 != k % 10 && others(g, h) > 0)
            visit(g, h, k, d_[at(g, h)] - d_[at(g, k)]);
  }

  bool clear() const {
    bool clear = true;
    triplets([&](auto, auto, auto, double gap) {
      clear &= std::abs(gap) > kClear && std::abs(gap + margin()) > kClear;
    });
    return clear;
  }

  void mine() {
    const auto counted = [](double gap) { return gap < 0 && gap + margin() > 0; };
    triplets([&](auto g, auto h, auto k, double gap) {
      if (counted(gap)) active_ += size(g) * others(g, h) * size(k);
    });
    CLX_CHECK(active_ > 0, "triplet: expected semi-hard triplets, got none");
    C_.assign(d_.size(), 0);
    triplets([&](auto g, auto h, auto k, double gap) {
      if (!counted(gap)) return;
      const double share = size(g) * others(g, h) * size(k) / active_;
      for (const double term : {d_[at(g, h)], -d_[at(g, k)], margin()})
        loss_.add(share * term);
      C_[at(g, h)] += size(k) / active_;
      C_[at(g, k)] -= others(g, h) / active_;
    });
  }

  static double margin() { return static_cast<double>(kMargin); }
  std::int64_t count() const { return std::min(N_, kDistinct); }
  std::size_t at(std::int64_t g, std::int64_t h) const { return static_cast<std::size_t>(g * count() + h); }
  double size(std::int64_t g) const { return static_cast<double>((N_ - g + count() - 1) / count()); }
  // How many embeddings of point h an embedding of point g has beside itself.
  double others(std::int64_t g, std::int64_t h) const { return size(h) - (g == h ? 1 : 0); }

  std::int64_t N_, D_;
  Tensor points_;
  std::vector<double> x_, d_, C_;  // C: ∂loss/∂d of one pair of embeddings of two points
  double active_ = 0;
  Sum loss_;
};

Workload triplet_and_gradient(std::int64_t N, std::int64_t D, Device device) {
  const Points points(N, D, device);
  Tensor x = points.embeddings();
  x.require_grad();
  const Tensor labels = points.labels();
  const auto run = [=] {
    const Triplet t = triplet(x, labels, {.margin = kMargin});
    return std::tuple{t.loss.detach(), t.active, grad(t.loss, {x})[0]};
  };
  return {[=] { run(); },
          [=] {
            const auto [loss, active, gradient] = run();
            const std::int64_t counted = active.to_host<std::int64_t>()[0];
            CLX_CHECK(static_cast<double>(counted) == points.active(), "triplet: expected ", points.active(),
                      " semi-hard triplets, got ", counted);
            expect_close("loss", 0, loss.item(), points.loss(), DType::f32);
            const std::vector<double> dx = values(gradient);
            for (const std::int64_t i : some_of(N * D, 1000))
              expect_close("dx", i, dx[static_cast<std::size_t>(i)], points.gradient(i / D, i % D),
                           DType::f32);
          }};
}

}  // namespace

std::vector<Case> triplet_cases(Device device) {
  const bool emulated = device.kind == DeviceKind::emulated;
  const std::int64_t D = emulated ? 16 : 128;
  std::vector<Case> cases;
  for (const std::int64_t N :
       emulated ? std::vector<std::int64_t>{70} : std::vector<std::int64_t>{512, 2048, 8192}) {
    const auto n = static_cast<double>(N), size = static_cast<double>(N * D);
    cases.push_back(
        {.name = fmt::format("triplet_and_gradient/{}/N{}_D{}_f32", concat(device), N, D),
         .bound = Bound::arithmetic,
         .flops = 3 * n * size,  // the products of pairs are symmetric: N²·D; the gradient: 2·N²·D
         .bytes = 2 * 4 * size,
         .prepare = [=] { return triplet_and_gradient(N, D, device); }});
  }
  return cases;
}

}  // namespace clx::app
