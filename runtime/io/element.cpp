#include "runtime/io/element.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace clx::io {
namespace {

static_assert(std::endian::native == std::endian::little, "files are little-endian");

// Reads elements of type From and stores each as convert(element).
template <class From, class To, class Convert>
Tensor converted(const Shape& shape, const std::function<void(void*, std::size_t)>& read, Convert convert) {
  Tensor t(shape, kCpu, kDTypeOf<To>);
  std::vector<From> from(static_cast<std::size_t>(shape.size()));
  if (from.empty()) return t;
  read(from.data(), from.size() * sizeof(From));
  To* to = t.mutable_data<To>();
  for (std::size_t i = 0; i < from.size(); ++i)
    to[i] = convert(from[i]);
  return t;
}

Tensor verbatim(const Shape& shape, DType dtype, const std::function<void(void*, std::size_t)>& read) {
  Tensor t(shape, kCpu, dtype);
  if (t.size() > 0) read(t.mutable_view().data, t.bytes());
  return t;
}

}  // namespace

std::size_t size_of(Element element) {
  switch (element) {
    case Element::boolean:
    case Element::u8:
      return 1;
    case Element::f16:
    case Element::bf16:
      return 2;
    case Element::i32:
    case Element::f32:
      return 4;
    case Element::f64:
    case Element::i64:
      return 8;
  }
  return 0;
}

std::optional<std::uint64_t> array_bytes(const std::vector<std::int64_t>& dims, Element element) {
  constexpr std::uint64_t kLimit = std::uint64_t{1} << 62;
  std::uint64_t bytes = size_of(element);
  // An extent of 0 makes the array empty, yet its neighbours must not overflow a later product.
  std::uint64_t nonzero = bytes;
  for (const std::int64_t d : dims) {
    if (d < 0) return std::nullopt;
    const std::uint64_t extent = static_cast<std::uint64_t>(d);
    bytes *= extent;
    if (extent == 0) continue;
    if (nonzero > kLimit / extent) return std::nullopt;
    nonzero *= extent;
  }
  return bytes;
}

float half_to_float(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 0x1f;
  const int mantissa = bits & 0x3ff;
  float magnitude = 0;
  if (exponent == 0)
    magnitude = std::ldexp(static_cast<float>(mantissa), -24);
  else if (exponent < 31)
    magnitude = std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25);
  else
    magnitude =
        mantissa == 0 ? std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN();
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

Tensor read_elements(Element element,
                     const Shape& shape,
                     const std::function<void(void*, std::size_t)>& read) {
  switch (element) {
    case Element::boolean:
      return converted<std::uint8_t, std::uint8_t>(
          shape, read, [](std::uint8_t v) { return static_cast<std::uint8_t>(v != 0); });
    case Element::u8:
      return verbatim(shape, DType::u8, read);
    case Element::f16:
      return converted<std::uint16_t, float>(shape, read, half_to_float);
    case Element::bf16:
      return verbatim(shape, DType::bf16, read);
    case Element::i32:
      return verbatim(shape, DType::i32, read);
    case Element::f32:
      return verbatim(shape, DType::f32, read);
    case Element::f64:
      return converted<double, float>(shape, read, [](double v) { return static_cast<float>(v); });
    case Element::i64:
      return verbatim(shape, DType::i64, read);
  }
  return {};
}

}  // namespace clx::io
