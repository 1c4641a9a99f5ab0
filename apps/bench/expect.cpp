#include "apps/bench/expect.h"

#include "apps/bench/case.h"
#include "runtime/check.h"
#include "runtime/ops/convert.h"
#include "runtime/random.h"

namespace clx::app {

Tensor random_tensor(const Shape& shape, Device device, DType dtype, std::uint64_t seed) {
  Random random(seed, Purpose::test);
  std::vector<float> numbers(static_cast<std::size_t>(shape.size()));
  for (float& number : numbers)
    number = random.uniform(-1, 1);
  return convert(Tensor::from_host(shape, numbers, device), dtype);
}

std::vector<double> values(const Tensor& tensor) {
  if (tensor.dtype() == DType::f32) {
    const std::vector<float> numbers = tensor.to_host();
    return {numbers.begin(), numbers.end()};
  }
  std::vector<double> result;
  result.reserve(static_cast<std::size_t>(tensor.size()));
  for (const bf16 number : tensor.to_host<bf16>())
    result.push_back(static_cast<float>(number));
  return result;
}

double rounded_to(DType dtype, double x) {
  const auto number = static_cast<float>(x);
  return dtype == DType::bf16 ? static_cast<float>(bf16(number)) : number;
}

std::vector<std::int64_t> some_of(std::int64_t size, int count) {
  std::vector<std::int64_t> positions;
  Random random(static_cast<std::uint64_t>(size), Purpose::test);
  for (int i = 0; i < count && i < size; ++i)
    positions.push_back(size <= count ? i : random.below(static_cast<std::uint32_t>(size)));
  return positions;
}

void expect_close(const std::string& what,
                  std::int64_t index,
                  double actual,
                  const Sum& expected,
                  DType dtype,
                  double tolerance) {
  const double rounding = dtype == DType::bf16 ? std::abs(expected.value) / 256 : 0;
  const double error = std::abs(actual - expected.value);
  CLX_CHECK(error <= tolerance * expected.magnitude + rounding, what, "[", index, "]: expected ",
            expected.value, ", got ", actual);
}

void wait_for(Device device) {
  if (device.kind == DeviceKind::cuda) Tensor::zeros({}, device).item();
}

}  // namespace clx::app
