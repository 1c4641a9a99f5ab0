#include "nn/optim/sgd.h"

#include <utility>

#include "runtime/check.h"

namespace clx::nn {

Sgd::Sgd(std::vector<Tensor> parameters, const SgdOptions& options)
    : Optimizer("sgd", std::move(parameters), {{"momentum"}}), options_(options) {
  CLX_CHECK(options.momentum >= 0 && options.dampening >= 0 && options.weight_decay >= 0,
            "sgd: expected no negative momentum, dampening and weight decay, got ", options.momentum, ", ",
            options.dampening, " and ", options.weight_decay);
  CLX_CHECK(!options.nesterov || (options.momentum > 0 && options.dampening == 0),
            "sgd: nesterov needs momentum above 0 and no dampening, got ", options.momentum, " and ",
            options.dampening);
}

}  // namespace clx::nn
