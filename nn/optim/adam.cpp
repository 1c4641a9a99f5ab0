#include "nn/optim/adam.h"

#include <utility>

#include "runtime/check.h"

namespace clx::nn {
namespace {

void check_options(const char* name, double beta1, double beta2, double epsilon, double weight_decay) {
  CLX_CHECK(beta1 >= 0 && beta1 < 1 && beta2 >= 0 && beta2 < 1, name,
            ": expected beta1 and beta2 within [0,1), got ", beta1, " and ", beta2);
  CLX_CHECK(epsilon >= 0 && weight_decay >= 0, name, ": expected no negative epsilon and weight decay, got ",
            epsilon, " and ", weight_decay);
}

}  // namespace

Adamw::Adamw(std::vector<Tensor> parameters, const AdamwOptions& options)
    : Optimizer("adamw", std::move(parameters), {{"exp_avg"}, {"exp_avg_sq"}}), options_(options) {
  check_options("adamw", options.beta1, options.beta2, options.epsilon, options.weight_decay);
}

Radam::Radam(std::vector<Tensor> parameters, const RadamOptions& options)
    : Optimizer("radam", std::move(parameters), {{"exp_avg"}, {"exp_avg_sq"}}), options_(options) {
  check_options("radam", options.beta1, options.beta2, options.epsilon, options.weight_decay);
}

}  // namespace clx::nn
