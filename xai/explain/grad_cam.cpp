#include "xai/explain/grad_cam.h"

#include "runtime/autograd.h"
#include "runtime/check.h"
#include "runtime/ops/convert.h"
#include "runtime/ops/l2_normalize.h"
#include "runtime/ops/linear.h"
#include "runtime/ops/pool.h"
#include "runtime/ops/softmax.h"

namespace clx::xai {
namespace {

void require_activation(const Tensor& activation) {
  CLX_CHECK(activation.defined() && activation.rank() == 4 && activation.size() > 0,
            "grad_cam: expected activations (N,h,w,C)");
}

void require_head(const Tensor& activation, const LinearHead& head) {
  const std::int64_t C = activation.dim(3);
  CLX_CHECK(head.weight.defined() && head.weight.rank() == 2 && head.weight.dim(1) == C,
            "grad_cam: expected a head of ", C, " features");
}

// alpha (N,C): the gradient of the head alone, spread over the positions that pooling averaged.
Tensor weights_of(const LinearHead& head, const Tensor& activation, const Tensor& classes) {
  const std::int64_t N = activation.dim(0), positions = activation.dim(1) * activation.dim(2);
  const Device device = activation.device();
  Tensor features = global_average_pool(activation.detach()).detach();
  features.require_grad();
  const Tensor scores = linear(head.normalized ? l2_normalize(features) : features, head.weight.detach(), {});
  return grad(pick(scores, classes), {features},
              {.dy = Tensor::full({N}, 1 / static_cast<float>(positions), device)})[0];
}

}  // namespace

CamMaps grad_cam(const Tensor& activation, const Tensor& gradient, int height, int width) {
  require_activation(activation);
  CLX_CHECK(gradient.defined() && gradient.shape() == activation.shape(),
            "grad_cam: expected a gradient of shape ", activation.shape(), ", got ",
            gradient.defined() ? concat(gradient.shape()) : "none");
  const NoGrad no_grad;
  return weighted_cam(activation, global_average_pool(gradient), height, width);
}

CamMaps grad_cam_linear_head(
    const Tensor& activation, const LinearHead& head, const Tensor& classes, int height, int width) {
  require_activation(activation);
  require_head(activation, head);
  return weighted_cam(activation, weights_of(head, activation, classes), height, width);
}

CamMaps grad_cam_linear_head(const Tensor& activation,
                             const LinearHead& head,
                             const std::vector<std::int32_t>& classes,
                             int height,
                             int width) {
  require_activation(activation);
  require_head(activation, head);
  const std::int64_t N = activation.dim(0), K = head.weight.dim(0);
  CLX_CHECK(static_cast<std::int64_t>(classes.size()) == N, "grad_cam: expected ", N, " classes, got ",
            classes.size());
  for (const std::int32_t c : classes)
    CLX_CHECK(c >= 0 && c < K, "grad_cam: expected a class within 0…", K - 1, ", got ", c);
  return grad_cam_linear_head(activation, head, Tensor::from_host({N}, classes, activation.device()), height,
                              width);
}

}  // namespace clx::xai
