#include "xai/explain/eigen_cam.h"

#include <cmath>
#include <vector>

#include "runtime/check.h"
#include "runtime/linalg.h"
#include "runtime/ops/convert.h"
#include "runtime/ops/principal_component.h"

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

// raw (N,h,w) with numpy's sign: the whole decomposition of each sample, on the host.
Tensor project_by_lapack(const Tensor& activation) {
  const Tensor A = convert(activation, DType::f32).to(kCpu);
  const auto positions = static_cast<std::size_t>(A.dim(1) * A.dim(2)),
             C = static_cast<std::size_t>(A.dim(3));
  Tensor raw({A.dim(0), A.dim(1), A.dim(2)});
  float* out = raw.mutable_data();
  for (std::int64_t n = 0; n < A.dim(0); ++n) {
    const std::vector<float> x =
        centred(positions, C, A.data() + static_cast<std::size_t>(n) * positions * C);
    const std::vector<double> v =
        first_right_singular_vector(static_cast<int>(positions), static_cast<int>(C), x);
    for (std::size_t i = 0; i < positions; ++i) {
      double sum = 0;
      for (std::size_t k = 0; k < C; ++k)
        sum += static_cast<double>(x[i * C + k]) * static_cast<float>(v[k]);
      *out++ = static_cast<float>(sum);
    }
  }
  return raw.to(activation.device());
}

ComponentSign component_sign(EigenSign sign) {
  if (sign == EigenSign::top_left) return ComponentSign::first_negative;
  if (sign == EigenSign::max_abs) return ComponentSign::largest_positive;
  return ComponentSign::mean_correlated;
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
  if (sign == EigenSign::lapack) return project_by_lapack(activation);
  return principal_component(activation.detach(), component_sign(sign));
}

}  // namespace clx::xai
