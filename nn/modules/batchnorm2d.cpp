#include "nn/modules/batchnorm2d.h"

#include "runtime/autograd.h"
#include "runtime/graph.h"
#include "runtime/ops/batchnorm.h"

namespace clx::nn {

BatchNorm2d::BatchNorm2d(Initializer& initializer, int channels, float gamma)
    : weight_(initializer.constant({channels}, gamma)),
      bias_(initializer.constant({channels}, 0)),
      running_mean_(Tensor::zeros({channels})),
      running_var_(Tensor::full({channels}, 1)),
      num_batches_tracked_(Tensor::zeros({}, kCpu, DType::i64)) {
  weight_.require_grad();
  bias_.require_grad();
}

Tensor BatchNorm2d::apply(const Tensor& x, bool relu, const Tensor& residual, const Tensor& moments) {
  if (training())
    each_time([count = num_batches_tracked_]() mutable { ++*count.mutable_data<std::int64_t>(); });
  return batchnorm(x, weight_, bias_, running_mean_, running_var_,
                   {.training = training(),
                    .relu = relu,
                    .residual = residual,
                    .moments = moments,
                    .across = synchronised()});
}

void BatchNorm2d::each_tensor(const EntryVisitor& visitor) {
  visitor({"weight", &weight_});
  visitor({"bias", &bias_});
  visitor({"running_mean", &running_mean_, Role::buffer});
  visitor({"running_var", &running_var_, Role::buffer});
  visitor({"num_batches_tracked", &num_batches_tracked_, Role::counter});
}

}  // namespace clx::nn
