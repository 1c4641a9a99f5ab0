// cvt: between numbers of all types.
#include <cmath>
#include <limits>

#include "kernels/bf16.h"
#include "kernels/cuda/emulator/ptx/reading.h"
#include "kernels/cuda/emulator/ptx/thread.h"

namespace clx::emulator::ptx {
namespace {

enum Rounding : std::uint8_t { as_is, nearest_even, to_zero, down, up };

template <class T>
T rounded(T x, std::uint8_t mode) {
  switch (mode) {
    case nearest_even:
      return std::nearbyint(x);
    case to_zero:
      return std::trunc(x);
    case down:
      return std::floor(x);
    case up:
      return std::ceil(x);
    default:
      return x;
  }
}

/// Out of range goes to the nearest end; NaN to zero, or to the lowest of 64 bits.
template <class To, class From>
To integer_of(From x) {
  if (x != x) return sizeof(To) == 8 ? static_cast<To>(1ull << 63) : To(0);
  const From lowest = static_cast<From>(std::numeric_limits<To>::min());
  const From beyond = std::ldexp(From(1), std::numeric_limits<To>::digits);
  if (x <= lowest) return std::numeric_limits<To>::min();
  if (x >= beyond) return std::numeric_limits<To>::max();
  return static_cast<To>(x);
}

template <class To, class From, bool kSaturate>
void convert(Thread& t, const Instruction& i) {
  const From x = read<From>(t, i.a);
  constexpr bool kFromFloat = std::is_floating_point_v<From>, kToFloat = std::is_floating_point_v<To>;
  if constexpr (kFromFloat && !kToFloat) {
    write<To>(t, i.d, integer_of<To>(rounded(x, i.detail)));
  } else if constexpr (kFromFloat) {
    To y = static_cast<To>(rounded(x, i.detail));
    if constexpr (kSaturate) y = y > 0 ? (y < 1 ? y : To(1)) : To(0);
    write<To>(t, i.d, y);
  } else {
    write<To>(t, i.d, static_cast<To>(x));
  }
}

template <class To, class From>
Handler converter(bool saturate) {
  if (!saturate) return convert<To, From, false>;
  if constexpr (std::is_floating_point_v<To>) return convert<To, From, true>;
  // From a floating-point number the result is saturated anyway.
  return std::is_floating_point_v<From> ? convert<To, From, false> : nullptr;
}

void to_bf16(Thread& t, const Instruction& i) {
  write<std::uint16_t>(t, i.d, bf16(read<float>(t, i.a)).bits);
}

void from_bf16(Thread& t, const Instruction& i) {
  write<std::uint32_t>(t, i.d, static_cast<std::uint32_t>(read<std::uint16_t>(t, i.a)) << 16);
}

// The first operand goes to the upper half.
void to_bf16_pair(Thread& t, const Instruction& i) {
  const std::uint32_t high = bf16(read<float>(t, i.a)).bits, low = bf16(read<float>(t, i.b)).bits;
  write<std::uint32_t>(t, i.d, high << 16 | low);
}

// To nearest, ties away from zero; NaN as the device writes it.
void to_tf32(Thread& t, const Instruction& i) {
  const auto bits = read<std::uint32_t>(t, i.a);
  const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
  write<std::uint32_t>(t, i.d, nan ? 0x7fffffffu : (bits + 0x1000u) & 0xffffe000u);
}

}  // namespace

void decode_conversion(Reading& r) {
  if (r.base() != "cvt" || r.types.size() != 2) return;
  const Type to = r.types[0], from = r.types[1];
  Handler& run = r.i.run;
  if (to == Type::tf32 && from == Type::f32 && r.take("rna")) {
    run = to_tf32;
  } else if (to == Type::bf16x2 && from == Type::f32 && r.take("rn")) {
    run = to_bf16_pair;
  } else if (to == Type::bf16 && from == Type::f32 && r.take("rn")) {
    run = to_bf16;
  } else if (to == Type::f32 && from == Type::bf16) {
    run = from_bf16;
  } else {
    const int integral = r.take_one_of({"rni", "rzi", "rmi", "rpi"});
    if (integral >= 0)
      r.i.detail = static_cast<std::uint8_t>(integral + 1);
    else
      r.take("rn");
    const bool saturate = r.take("sat");
    run = select(to, [&](auto x) {
      return select(from, [&](auto y) -> Handler { return converter<decltype(x), decltype(y)>(saturate); });
    });
  }
  if (run) r.use_operands();
}

}  // namespace clx::emulator::ptx
