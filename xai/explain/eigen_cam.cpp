#include "xai/explain/eigen_cam.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "runtime/check.h"
#include "runtime/linalg.h"
#include "runtime/ops/convert.h"

namespace clx::xai {
namespace {

// A sample's activations less each channel's spatial mean, (positions × C), in f32 as numpy centres them.
std::vector<float> centred(std::size_t positions, std::size_t C, const float* A) {
  std::vector<float> x(A, A + positions * C);
  for (float& v : x)
    if (std::isnan(v)) v = 0;
  std::vector<float> mean(C);
  for (std::size_t i = 0; i < positions; ++i)
    for (std::size_t k = 0; k < C; ++k)
      mean[k] += x[i * C + k];
  for (float& m : mean)
    m /= static_cast<float>(positions);
  for (std::size_t i = 0; i < positions; ++i)
    for (std::size_t k = 0; k < C; ++k)
      x[i * C + k] -= mean[k];
  return x;
}

std::vector<double> project_lapack(std::size_t positions, std::size_t C, const std::vector<float>& x) {
  const std::vector<double> v =
      first_right_singular_vector(static_cast<int>(positions), static_cast<int>(C), x);
  std::vector<double> projection(positions);
  for (std::size_t i = 0; i < positions; ++i)
    for (std::size_t k = 0; k < C; ++k)
      projection[i] += static_cast<double>(x[i * C + k]) * static_cast<float>(v[k]);
  return projection;
}

std::vector<double> project_gram(std::size_t positions, std::size_t C, const std::vector<float>& x) {
  std::vector<double> gram(positions * positions);
  for (std::size_t i = 0; i < positions; ++i)
    for (std::size_t j = 0; j <= i; ++j) {
      double dot = 0;
      for (std::size_t k = 0; k < C; ++k)
        dot += static_cast<double>(x[i * C + k]) * x[j * C + k];
      gram[i * positions + j] = gram[j * positions + i] = dot;
    }
  double eigenvalue = 0;
  std::vector<double> projection = largest_eigenvector(static_cast<int>(positions), gram, &eigenvalue);
  for (double& p : projection)
    p *= std::sqrt(std::max(eigenvalue, 0.0));
  return projection;
}

bool wants_flip(EigenSign sign, std::size_t C, const float* A, const std::vector<double>& projection) {
  if (sign == EigenSign::top_left) return projection[0] > 0;
  if (sign == EigenSign::max_abs) {
    const auto [low, high] = std::minmax_element(projection.begin(), projection.end());
    return -*low > *high;
  }
  double correlation = 0;  // the projection sums to 0, so the mean map need not be centred
  for (std::size_t i = 0; i < projection.size(); ++i)
    correlation += projection[i] * std::accumulate(A + i * C, A + (i + 1) * C, 0.0);
  return correlation < 0;
}

}  // namespace

EigenSign parse_eigen_sign(std::string_view text) {
  if (text == "lapack") return EigenSign::lapack;
  if (text == "top-left") return EigenSign::top_left;
  if (text == "mean-corr") return EigenSign::mean_corr;
  if (text == "max-abs") return EigenSign::max_abs;
  throw Error(concat("eigen-sign: expected lapack, top-left, mean-corr or max-abs, got '", text, "'"));
}

Tensor eigen_cam(const Tensor& activation, EigenSign sign) {
  CLX_CHECK(activation.defined() && activation.rank() == 4 && activation.size() > 0,
            "eigen_cam: expected activations (N,h,w,C)");
  const Tensor A = convert(activation, DType::f32).to(kCpu);
  const auto positions = static_cast<std::size_t>(A.dim(1) * A.dim(2)),
             C = static_cast<std::size_t>(A.dim(3));
  Tensor raw({A.dim(0), A.dim(1), A.dim(2)});
  float* out = raw.mutable_data();
  for (std::int64_t n = 0; n < A.dim(0); ++n) {
    const float* sample = A.data() + static_cast<std::size_t>(n) * positions * C;
    const std::vector<float> x = centred(positions, C, sample);
    const bool lapack = sign == EigenSign::lapack;
    const std::vector<double> projection =
        lapack ? project_lapack(positions, C, x) : project_gram(positions, C, x);
    const double factor = !lapack && wants_flip(sign, C, sample, projection) ? -1 : 1;
    for (const double p : projection)
      *out++ = static_cast<float>(factor * p);
  }
  return raw;
}

}  // namespace clx::xai
