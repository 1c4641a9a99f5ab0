#include "runtime/ops/all_reduce.h"

#include "kernels/collective.h"
#include "kernels/memory.h"
#include "runtime/dispatch.h"
#include "runtime/node.h"
#include "runtime/ops/require.h"

namespace clx {
namespace {

constexpr std::int64_t kAlignment = 64;  // elements: each gradient begins as a tensor of its own would

std::int64_t padded(const Tensor& t) {
  return (t.size() + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

Tensor all_reduce(const Tensor& x, Communicator& across) {
  require("all_reduce", "x", x, DType::f32, x.shape(), x.device());
  if (across.size() == 1) return x.detach();
  Tensor y(x.shape(), x.device());
  on(x.device(), [&](const auto& backend) {
    kernels::all_reduce(backend, across.group(), x.size(), x.data(), y.mutable_data());
  });
  return y;
}

void all_reduce_gradients(const std::vector<Tensor>& parameters, Communicator& across) {
  if (across.size() == 1) return;
  std::vector<Tensor> reduced;
  std::int64_t total = 0;
  for (const Tensor& parameter : parameters) {
    const Tensor gradient = parameter.grad();
    if (!gradient.defined()) continue;
    const Device device = reduced.empty() ? parameter.device() : reduced.front().device();
    require("all_reduce_gradients", "a gradient", gradient, DType::f32, parameter.shape(), device);
    reduced.push_back(parameter);
    total += padded(gradient);
  }
  if (reduced.empty()) return;
  const Device device = reduced.front().device();
  Tensor all = Tensor::zeros({total}, device);
  on(device, [&](const auto& backend) {
    float* to = all.mutable_data();
    for (const Tensor& parameter : reduced) {
      const Tensor gradient = parameter.grad();
      kernels::copy(backend, gradient.bytes(), gradient.data(), to);
      to += padded(gradient);
    }
    kernels::all_reduce(backend, across.group(), total, all.data(), all.mutable_data());
  });
  std::int64_t begin = 0;
  for (const Tensor& parameter : reduced) {
    parameter.node()->gradient = all.slice(begin, begin + parameter.size()).reshape(parameter.shape());
    begin += padded(parameter);
  }
}

}  // namespace clx
