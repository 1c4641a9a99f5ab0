#include "tests/arrays.h"

#include <algorithm>
#include <numeric>
#include <random>
#include <utility>

#include "runtime/check.h"

namespace clx::tests {

double representable(double value, DType dtype) {
  const float f = static_cast<float>(value);
  return dtype == DType::bf16 ? static_cast<double>(static_cast<float>(bf16(f))) : static_cast<double>(f);
}

Array map_to(DType dtype, Array a) {
  for (double& value : a.values)
    value = representable(value, dtype);
  return a;
}

Array uniform(Shape shape, unsigned seed, double low, double high, DType dtype) {
  Array a(std::move(shape));
  std::mt19937 generator(seed);
  for (double& value : a.values)
    value = low + (high - low) * (static_cast<double>(generator()) / 4294967296.0);
  return map_to(dtype, std::move(a));
}

Array integers(Shape shape, unsigned seed, int limit) {
  Array a(std::move(shape));
  std::mt19937 generator(seed);
  for (double& value : a.values)
    value = static_cast<int>(generator() % static_cast<unsigned>(2 * limit + 1)) - limit;
  return a;
}

Array spaced(Shape shape, unsigned seed) {
  Array a(std::move(shape));
  std::vector<std::int64_t> order(a.values.size());
  std::iota(order.begin(), order.end(), std::int64_t{0});
  std::mt19937 generator(seed);
  for (std::size_t i = order.size(); i > 1; --i)
    std::swap(order[i - 1], order[generator() % i]);
  for (std::int64_t i = 0; i < a.size(); ++i)
    a[i] = static_cast<double>(2 * (order[static_cast<std::size_t>(i)] - a.size() / 2) + 1) / 64;
  return a;
}

Tensor to_tensor(const Array& a, Device device, DType dtype) {
  if (dtype == DType::f32)
    return Tensor::from_host(a.shape, std::vector<float>(a.values.begin(), a.values.end()), device);
  CLX_CHECK(dtype == DType::bf16, "to_tensor: expected f32 or bf16, got ", name_of(dtype));
  std::vector<bf16> values;
  for (const double value : a.values)
    values.emplace_back(static_cast<float>(value));
  return Tensor::from_host(a.shape, values, device);
}

Array to_array(const Tensor& t) {
  Array a(t.shape());
  if (t.dtype() == DType::bf16)
    std::ranges::transform(t.to_host<bf16>(), a.values.begin(), [](bf16 v) { return static_cast<float>(v); });
  else
    std::ranges::copy(t.to_host<float>(), a.values.begin());
  return a;
}

std::vector<std::uint8_t> bits(const Tensor& t) {
  const auto as_bytes = [](const auto& values) {
    const auto* first = reinterpret_cast<const std::uint8_t*>(values.data());
    return std::vector<std::uint8_t>(first, first + values.size() * sizeof values[0]);
  };
  switch (t.dtype()) {
    case DType::bf16:
      return as_bytes(t.to_host<bf16>());
    case DType::u8:
      return t.to_host<std::uint8_t>();
    case DType::i32:
      return as_bytes(t.to_host<std::int32_t>());
    case DType::i64:
      return as_bytes(t.to_host<std::int64_t>());
    default:
      return as_bytes(t.to_host<float>());
  }
}

}  // namespace clx::tests
