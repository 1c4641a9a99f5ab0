#include "xai/explain/grad_cam.h"

#include "runtime/check.h"
#include "runtime/ops/convert.h"

namespace clx::xai {
namespace {

void require_activation(const Tensor& activation) {
  CLX_CHECK(activation.defined() && activation.rank() == 4 && activation.size() > 0,
            "grad_cam: expected activations (N,h,w,C)");
}

// raw_ij = Σ_k alpha_k·A_ijk of one sample.
void weigh_channels(std::int64_t positions, const std::vector<float>& alpha, const float* A, float* raw) {
  for (std::int64_t i = 0; i < positions; ++i) {
    double sum = 0;
    for (const float a : alpha)
      sum += static_cast<double>(a) * *A++;
    raw[i] = static_cast<float>(sum);
  }
}

}  // namespace

Tensor grad_cam(const Tensor& activation, const Tensor& gradient) {
  require_activation(activation);
  CLX_CHECK(gradient.defined() && gradient.shape() == activation.shape(),
            "grad_cam: expected a gradient of shape ", activation.shape(), ", got ",
            gradient.defined() ? concat(gradient.shape()) : "none");
  const Tensor A = convert(activation, DType::f32).to(kCpu), G = convert(gradient, DType::f32).to(kCpu);
  const std::int64_t N = A.dim(0), positions = A.dim(1) * A.dim(2), C = A.dim(3);
  Tensor raw({N, A.dim(1), A.dim(2)});
  std::vector<float> alpha(static_cast<std::size_t>(C));
  for (std::int64_t n = 0; n < N; ++n) {
    std::vector<double> sum(alpha.size());
    const float* g = G.data() + n * positions * C;
    for (std::int64_t i = 0; i < positions; ++i)
      for (double& s : sum)
        s += *g++;
    for (std::size_t k = 0; k < alpha.size(); ++k)
      alpha[k] = static_cast<float>(sum[k] / static_cast<double>(positions));
    weigh_channels(positions, alpha, A.data() + n * positions * C, raw.mutable_data() + n * positions);
  }
  return raw;
}

Tensor grad_cam_linear_head(const Tensor& activation,
                            const Tensor& head_weight,
                            const std::vector<std::int32_t>& classes) {
  require_activation(activation);
  const std::int64_t N = activation.dim(0), positions = activation.dim(1) * activation.dim(2),
                     C = activation.dim(3);
  CLX_CHECK(head_weight.defined() && head_weight.rank() == 2 && head_weight.dim(1) == C,
            "grad_cam: expected a head of ", C, " features");
  CLX_CHECK(static_cast<std::int64_t>(classes.size()) == N, "grad_cam: expected ", N, " classes, got ",
            classes.size());
  const Tensor A = convert(activation, DType::f32).to(kCpu), W = head_weight.to(kCpu);
  Tensor raw({N, A.dim(1), A.dim(2)});
  std::vector<float> alpha(static_cast<std::size_t>(C));
  for (std::int64_t n = 0; n < N; ++n) {
    const std::int32_t c = classes[static_cast<std::size_t>(n)];
    CLX_CHECK(c >= 0 && c < W.dim(0), "grad_cam: expected a class within 0…", W.dim(0) - 1, ", got ", c);
    for (std::int64_t k = 0; k < C; ++k)
      alpha[static_cast<std::size_t>(k)] = W.data()[c * C + k] / static_cast<float>(positions);
    weigh_channels(positions, alpha, A.data() + n * positions * C, raw.mutable_data() + n * positions);
  }
  return raw;
}

}  // namespace clx::xai
