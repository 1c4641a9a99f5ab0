#include "runtime/ops/principal_component.h"

#include "runtime/dispatch.h"
#include "runtime/ops/require.h"

namespace clx {

Tensor principal_component(const Tensor& activation, ComponentSign sign) {
  require_floating("principal_component", "activation", activation);
  require_rank("principal_component", "activations (N,h,w,C)", activation, 4);
  const kernels::PrincipalShape s{static_cast<int>(activation.dim(0)),
                                  static_cast<int>(activation.dim(1) * activation.dim(2)),
                                  static_cast<int>(activation.dim(3)), sign};
  Tensor y({activation.dim(0), activation.dim(1), activation.dim(2)}, activation.device());
  on(activation.device(), [&](const auto& backend) {
    kernels::principal_component(backend, s, activation.view(), y.mutable_data());
  });
  return y;
}

}  // namespace clx
