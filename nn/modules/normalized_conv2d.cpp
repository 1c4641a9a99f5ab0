#include "nn/modules/normalized_conv2d.h"

#include "runtime/autograd.h"

namespace clx::nn {

void NormalizedConv2d::refresh(Folded& folded) const {
  const auto& bn = batchnorm_;
  const std::array<const Tensor*, 5> sources{&conv_.weight(), &bn.gamma(), &bn.beta(), &bn.running_mean(),
                                             &bn.running_var()};
  bool current = folded.filters.w.defined();
  for (std::size_t i = 0; i < sources.size(); ++i) {
    Version& seen = folded.from[i];
    const Tensor& now = *sources[i];
    if (seen.storage.lock() == now.storage() && seen.number == now.version()) continue;
    seen = {now.storage(), now.version()};
    current = false;
  }
  if (current) return;
  folded.filters = fold_batchnorm(conv_.weight(), bn.gamma(), bn.beta(), bn.running_mean(), bn.running_var());
  folded.prepared = {};
}

Tensor NormalizedConv2d::apply(const Tensor& x, bool relu, const Tensor& residual) {
  if (batchnorm_.training()) folded_ = {};
  if (grad_enabled() || batchnorm_.training()) {
    Tensor moments;
    Conv2dOptions options = conv_.options();
    if (batchnorm_.training()) options.moments = &moments;
    const Tensor y = conv2d(x, conv_.weight(), options);
    return batchnorm_.apply(y, relu, residual, moments);
  }
  refresh(folded_);
  Conv2dOptions options = conv_.options();
  options.bias = folded_.filters.bias;
  options.residual = residual;
  options.relu = relu;
  if (!folded_.prepared.defined()) folded_.prepared = conv2d_prepare(x, folded_.filters.w, options);
  options.prepared = folded_.prepared;
  return conv2d(x, folded_.filters.w, options);
}

}  // namespace clx::nn
