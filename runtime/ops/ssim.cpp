#include "runtime/ops/ssim.h"

#include <cmath>

#include "kernels/ssim.h"
#include "runtime/dispatch.h"
#include "runtime/ops/require.h"

namespace clx {
namespace {

void set_gaussian(double sigma, kernels::SsimShape* s) {
  CLX_CHECK(sigma > 0 && std::isfinite(sigma), "ssim: expected a sigma above 0, got ", sigma);
  const double radius = std::floor(3.5 * sigma + 0.5);
  CLX_CHECK(radius <= kernels::kMostSsimRadius, "ssim: expected a sigma of at most 4.4, got ", sigma);
  s->radius = static_cast<int>(radius);
  s->uniform = false;
  double sum = 0;
  for (int k = -s->radius; k <= s->radius; ++k)
    sum += s->weight[std::abs(k)] = std::exp(-0.5 * k * k / (sigma * sigma));
  for (double& weight : s->weight)
    weight /= sum;
}

void set_uniform(int window, bool sample_covariance, kernels::SsimShape* s) {
  CLX_CHECK(window % 2 == 1 && window >= 3 && window <= 2 * kernels::kMostSsimRadius + 1,
            "ssim: expected an odd window within 3…", 2 * kernels::kMostSsimRadius + 1, ", got ", window);
  s->radius = window / 2;
  const double n = window * window;
  if (sample_covariance) s->covariance = n / (n - 1);
}

}  // namespace

Tensor structural_similarity(const Tensor& a, const Tensor& b, const SsimOptions& options) {
  require_floating("ssim", "a", a);
  require_rank("ssim", "maps (N,H,W)", a, 3);
  require("ssim", "a", a, DType::f32, a.shape(), a.device());
  require("ssim", "b", b, DType::f32, a.shape(), a.device());
  CLX_CHECK(options.data_range > 0 && std::isfinite(options.data_range),
            "ssim: expected a data range above 0, got ", options.data_range);
  kernels::SsimShape s{static_cast<int>(a.dim(0)), static_cast<int>(a.dim(1)), static_cast<int>(a.dim(2))};
  if (options.gaussian)
    set_gaussian(options.sigma, &s);
  else
    set_uniform(options.window, options.sample_covariance, &s);
  CLX_CHECK(s.rows() > 0 && s.columns() > 0, "ssim: expected maps of at least ", s.window(), "×", s.window(),
            ", got ", s.H, "×", s.W);
  s.c1 = options.k1 * options.data_range * options.k1 * options.data_range;
  s.c2 = options.k2 * options.data_range * options.k2 * options.data_range;
  Tensor y({a.dim(0)}, a.device());
  on(a.device(),
     [&](const auto& backend) { kernels::ssim(backend, s, a.data(), b.data(), y.mutable_data()); });
  return y;
}

}  // namespace clx
