#include "runtime/ops/adam_tensors.h"

#include "runtime/ops/require.h"

namespace clx {

std::vector<kernels::AdamTensor> adam_tensors(const char* op,
                                              std::vector<Tensor>& parameters,
                                              std::vector<Tensor>& means,
                                              std::vector<Tensor>& squares,
                                              Device device) {
  const std::size_t count = parameters.size();
  CLX_CHECK((means.empty() || means.size() == count) && (squares.empty() || squares.size() == count), op,
            ": expected ", count, " means and squares, got ", means.size(), " and ", squares.size());
  means.resize(count);
  squares.resize(count);
  std::vector<kernels::AdamTensor> tensors;
  for (std::size_t i = 0; i < count; ++i) {
    Tensor& theta = parameters[i];
    const Tensor gradient = theta.grad();
    if (!gradient.defined()) continue;
    require(op, "the parameter", theta, DType::f32, theta.shape(), device);
    require(op, "the gradient", gradient, DType::f32, theta.shape(), device);
    for (std::vector<Tensor>* buffers : {&means, &squares}) {
      Tensor& buffer = (*buffers)[i];
      if (!buffer.defined()) buffer = Tensor::zeros(theta.shape(), device);
      require(op, buffers == &means ? "the mean" : "the square", buffer, DType::f32, theta.shape(), device);
    }
    tensors.push_back({theta.mutable_data(), gradient.data(), means[i].mutable_data(),
                       squares[i].mutable_data(), theta.size()});
  }
  return tensors;
}

}  // namespace clx
