// Weights and images of closed form, as tests/fixtures/make_models.py makes them for PyTorch.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "nn/module.h"

namespace clx::tests {

/// Pseudo-random numbers with mean 0 and variance 1: the k-th of a stream is a hash of both.
inline double value(std::int64_t k, std::uint32_t stream) {
  std::uint32_t h = static_cast<std::uint32_t>(k) * 2654435761u + stream * 97654321u + 12345u;
  h = (h ^ (h >> 16)) * 0x85EBCA6Bu;
  h = (h ^ (h >> 13)) * 0xC2B2AE35u;
  h ^= h >> 16;
  return std::sqrt(12.0) * ((h + 0.5) / 4294967296.0 - 0.5);
}

/// Calls f(k, place) for every element k of PyTorch's (K,C,R,S), which is `place` in (K,R,S,C); place = k for
/// other tensors.
template <class F>
void for_each_place(const Shape& shape, bool filters, const F& f) {
  if (!filters) {
    for (std::int64_t k = 0; k < shape.size(); ++k)
      f(k, k);
    return;
  }
  const std::int64_t K = shape[0], R = shape[1], S = shape[2], C = shape[3];
  std::int64_t k = 0;
  for (std::int64_t o = 0; o < K; ++o)
    for (std::int64_t c = 0; c < C; ++c)
      for (std::int64_t rs = 0; rs < R * S; ++rs)
        f(k++, (o * R * S + rs) * C + c);
}

/// A tensor's values in PyTorch's order.
inline std::vector<double> in_pytorch_order(const Tensor& t, bool filters) {
  const std::vector<float> values = t.to_host();
  std::vector<double> ordered(values.size());
  for_each_place(t.shape(), filters, [&](std::int64_t k, std::int64_t place) {
    ordered[static_cast<std::size_t>(k)] = values[static_cast<std::size_t>(place)];
  });
  return ordered;
}

/// Gives every parameter its closed form. decided: the inner batch-norms push each channel far to one side
/// of the ReLU, so that rounding decides no sign.
inline void fill(nn::Module& model, bool decided) {
  std::uint32_t stream = 0;
  model.visit([&](const nn::Entry& entry) {
    if (entry.role != nn::Role::parameter) return;
    const Shape shape = entry.tensor->shape();
    double scale = 0.1, shift = entry.name.ends_with("bias") ? 0 : 1;
    if (shape.rank() == 4)
      scale = std::sqrt(2.0 / static_cast<double>(shape[0] * shape[1] * shape[2])), shift = 0;
    if (shape.rank() == 2) scale = 1 / std::sqrt(static_cast<double>(shape[1])), shift = 0;
    const bool far = decided && (entry.name.ends_with("bn1.bias") || entry.name.ends_with("bn2.bias"));
    std::vector<float> values(static_cast<std::size_t>(shape.size()));
    for_each_place(shape, entry.filters, [&](std::int64_t k, std::int64_t place) {
      const double v = value(k, stream);
      values[static_cast<std::size_t>(place)] =
          static_cast<float>(shift + scale * v + (far ? std::copysign(2.0, v) : 0));
    });
    *entry.tensor = Tensor::from_host(shape, values, entry.tensor->device());
    entry.tensor->require_grad();
    ++stream;
  });
}

/// n images (n,size,size,3), and their labels.
inline Tensor images(std::int64_t n, std::int64_t size, Device device = kCpu) {
  std::vector<float> x(static_cast<std::size_t>(n * size * size * 3));
  for (std::size_t k = 0; k < x.size(); ++k)
    x[k] = static_cast<float>(value(static_cast<std::int64_t>(k), 1000));
  return Tensor::from_host({n, size, size, 3}, x, device);
}
inline Tensor labels(std::int64_t n, std::int64_t classes, Device device = kCpu) {
  std::vector<std::int32_t> y;
  for (std::int64_t i = 0; i < n; ++i)
    y.push_back(static_cast<std::int32_t>((7 * i + 3) % classes));
  return Tensor::from_host({n}, y, device);
}

/// What a tensor's fixture holds: norm, projection on a closed-form vector, four entries.
inline std::vector<double> summary(const Tensor& t, bool filters, std::uint32_t stream) {
  const std::vector<double> v = in_pytorch_order(t, filters);
  double squares = 0, projection = 0;
  for (std::size_t k = 0; k < v.size(); ++k) {
    squares += v[k] * v[k];
    projection += v[k] * value(static_cast<std::int64_t>(k), 2000 + stream);
  }
  return {std::sqrt(squares), projection, v.front(), v[v.size() / 3], v[v.size() / 2], v.back()};
}

}  // namespace clx::tests
