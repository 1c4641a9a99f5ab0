#include "runtime/ops/cross_entropy.h"

#include "kernels/softmax.h"
#include "runtime/autograd.h"
#include "runtime/dispatch.h"
#include "runtime/ops/require.h"
#include "runtime/ops/require_labels.h"

namespace clx {

CrossEntropy cross_entropy(const Tensor& logits, const Tensor& labels, const CrossEntropyOptions& options) {
  require_floating("cross_entropy", "logits", logits);
  require_rank("cross_entropy", "logits (N,K)", logits, 2);
  const Device device = logits.device();
  require("cross_entropy", "logits", logits, DType::f32, logits.shape(), device);
  require("cross_entropy", "labels", labels, DType::i32, {logits.dim(0)}, device);
  require_labels("cross_entropy", labels, logits.dim(1));
  const float smoothing = options.smoothing;
  CLX_CHECK(smoothing >= 0 && smoothing < 1, "cross_entropy: expected a smoothing within [0,1), got ",
            smoothing);
  const int N = static_cast<int>(logits.dim(0)), K = static_cast<int>(logits.dim(1));
  Tensor p(logits.shape(), device), loss(Shape{}, device), correct(Shape{}, device, DType::i32);
  on(device, [&](const auto& backend) {
    kernels::cross_entropy_forward(backend, N, K, logits.data(), labels.data<std::int32_t>(), smoothing,
                                   p.mutable_data(), loss.mutable_data(),
                                   correct.mutable_data<std::int32_t>());
  });
  loss = record("cross_entropy", loss, {logits},
                [=, p = Saved(p), labels = Saved(labels)](const Tensor& dloss, const Needs&) {
                  Tensor dlogits({N, K}, device);
                  on(device, [&](const auto& backend) {
                    kernels::cross_entropy_backward(backend, N, K, p.get("cross_entropy").data(),
                                                    labels.get("cross_entropy").data<std::int32_t>(),
                                                    smoothing, dloss.data(), dlogits.mutable_data());
                  });
                  return std::vector{dlogits};
                });
  return {loss, correct};
}

}  // namespace clx
