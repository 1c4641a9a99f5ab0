#include "runtime/ops/gather.h"

#include "kernels/augment.h"
#include "runtime/dispatch.h"
#include "runtime/ops/augment.h"
#include "runtime/ops/normalization.h"

namespace clx {

Tensor gather_images(const Tensor& images,
                     const Tensor& samples,
                     const Step& step,
                     const GatherOptions& options) {
  return augment_images(images, samples, step,
                        {.mean = options.mean,
                         .std = options.std,
                         .padding = options.padding,
                         .flip = options.flip,
                         .dtype = options.dtype});
}

Tensor gather_labels(const Tensor& labels, const Tensor& samples) {
  CLX_CHECK(labels.defined() && labels.dtype() == DType::i32 && labels.rank() == 1,
            "gather_labels: expected labels (M) of i32");
  require_samples("gather_labels", samples, labels.dim(0), labels.device());
  Tensor y({samples.dim(0)}, labels.device(), DType::i32);
  on(labels.device(), [&](const auto& backend) {
    kernels::gather_labels(backend, static_cast<int>(samples.dim(0)), labels.data<std::int32_t>(),
                           samples.data<std::int64_t>(), y.mutable_data<std::int32_t>());
  });
  return y;
}

}  // namespace clx
