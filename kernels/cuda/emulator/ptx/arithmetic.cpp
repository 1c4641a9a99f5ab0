// Arithmetic and comparisons.
#include <cfenv>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "kernels/cuda/emulator/block.h"
#include "kernels/cuda/emulator/ptx/reading.h"
#include "kernels/cuda/emulator/ptx/thread.h"
#include "kernels/cuda/emulator/rough.h"

namespace clx::emulator::ptx {
namespace {

template <class T>
constexpr bool kFloating = std::is_floating_point_v<T>;

/// The unsigned type in which integers are added without overflow; for small types one that is not promoted.
template <class T>
using Wrapping = std::conditional_t<sizeof(T) == 8, std::uint64_t, std::uint32_t>;

struct Add {
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (kFloating<T>)
      return a + b;
    else
      return static_cast<T>(Wrapping<T>(a) + Wrapping<T>(b));
  }
};
struct Subtract {
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (kFloating<T>)
      return a - b;
    else
      return static_cast<T>(Wrapping<T>(a) - Wrapping<T>(b));
  }
};
struct Multiply {
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (kFloating<T>)
      return a * b;
    else
      return static_cast<T>(Wrapping<T>(a) * Wrapping<T>(b));
  }
};
struct MultiplyHigh {
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (kFloating<T>)
      return 0;
    else
      return static_cast<T>(static_cast<__int128>(a) * static_cast<__int128>(b) >> (8 * sizeof(T)));
  }
};
struct MultiplyHighUnsigned64 {
  std::uint64_t operator()(std::uint64_t a, std::uint64_t b) const {
    return static_cast<std::uint64_t>(static_cast<unsigned __int128>(a) * b >> 64);
  }
};
// Division by zero gives all ones on a device, and a remainder of the dividend.
struct Divide {
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (kFloating<T>)
      return a / b;
    else if (b == 0)
      return static_cast<T>(~T(0));
    else if (std::is_signed_v<T> && b == static_cast<T>(-1))
      return Subtract{}(T(0), a);
    else
      return static_cast<T>(a / b);
  }
};
struct Remainder {
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (kFloating<T>)
      return a;
    else if (b == 0)
      return a;
    else if (std::is_signed_v<T> && b == static_cast<T>(-1))
      return 0;
    else
      return static_cast<T>(a % b);
  }
};
// +0 is larger than −0, and a number wins over NaN.
struct Minimum {
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (kFloating<T>)
      return a == b ? (std::signbit(a) ? a : b) : std::fmin(a, b);
    else
      return b < a ? b : a;
  }
};
struct Maximum {
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (kFloating<T>)
      return a == b ? (std::signbit(a) ? b : a) : std::fmax(a, b);
    else
      return a < b ? b : a;
  }
};
template <class Operation>
struct OrNaN {
  template <class T>
  T operator()(T a, T b) const {
    if (a != a || b != b) return std::numeric_limits<T>::quiet_NaN();
    return Operation{}(a, b);
  }
};
struct CopySign {  // PTX gives b the sign of a
  template <class T>
  T operator()(T a, T b) const {
    return std::copysign(b, a);
  }
};

struct Negate {
  template <class T>
  T operator()(T a) const {
    if constexpr (kFloating<T>)
      return -a;
    else
      return Subtract{}(T(0), a);
  }
};
struct Absolute {
  template <class T>
  T operator()(T a) const {
    if constexpr (kFloating<T>)
      return std::fabs(a);
    else
      return a < 0 ? Subtract{}(T(0), a) : a;
  }
};
struct Root {
  template <class T>
  T operator()(T a) const {
    return std::sqrt(a);
  }
};
struct Reciprocal {
  template <class T>
  T operator()(T a) const {
    return 1 / a;
  }
};
// A double whose lower half is zero: what rcp.approx.ftz.f64 gives, to be refined by the code after it.
struct RoughReciprocal {
  double operator()(double a) const {
    return std::bit_cast<double>(std::bit_cast<std::uint64_t>(1 / a) & 0xffffffff00000000ull);
  }
};
struct ReciprocalRoot {
  template <class T>
  T operator()(T a) const {
    return 1 / std::sqrt(a);
  }
};
template <float (*kFunction)(float)>
struct Function1 {
  float operator()(float a) const { return kFunction(a); }
};
float flush(float a) {
  return std::fpclassify(a) == FP_SUBNORMAL ? std::copysign(0.0f, a) : a;
}
struct Exp2 {
  float operator()(float a) const { return worker->config.rough ? rough_exp2(a) : exp2f(a); }
};
struct FlushedExp2 {
  float operator()(float a) const { return flush(Exp2{}(flush(a))); }
};

template <class Operation, class T>
void unary(Thread& t, const Instruction& i) {
  write<T>(t, i.d, Operation{}(read<T>(t, i.a)));
}

template <class Operation, class T>
void binary(Thread& t, const Instruction& i) {
  write<T>(t, i.d, Operation{}(read<T>(t, i.a), read<T>(t, i.b)));
}

template <class Operation, class T>
void multiply_add(Thread& t, const Instruction& i) {
  write<T>(t, i.d, Add{}(Operation{}(read<T>(t, i.a), read<T>(t, i.b)), read<T>(t, i.c)));
}

template <class T, class Wide, bool kAdd>
void multiply_wide(Thread& t, const Instruction& i) {
  Wide product = static_cast<Wide>(static_cast<Wide>(read<T>(t, i.a)) * static_cast<Wide>(read<T>(t, i.b)));
  if constexpr (kAdd) product = Add{}(product, read<Wide>(t, i.c));
  write<Wide>(t, i.d, product);
}

template <class T>
void fused_multiply_add(Thread& t, const Instruction& i) {
  write<T>(t, i.d, std::fma(read<T>(t, i.a), read<T>(t, i.b), read<T>(t, i.c)));
}

template <int kRounding>
void fused_multiply_add_rounded(Thread& t, const Instruction& i) {
  const volatile float a = read<float>(t, i.a), b = read<float>(t, i.b), c = read<float>(t, i.c);
  std::fesetround(kRounding);
  const volatile float sum = std::fma(a, b, c);
  std::fesetround(FE_TONEAREST);
  write<float>(t, i.d, sum);
}

template <class Operation>
Handler unary_of(Type type) {
  return select(type, [](auto x) -> Handler { return unary<Operation, decltype(x)>; });
}

template <class Operation>
Handler binary_of(Type type) {
  return select(type, [](auto x) -> Handler { return binary<Operation, decltype(x)>; });
}

template <class Operation>
Handler floating_unary_of(Type type) {
  if (type == Type::f32) return unary<Operation, float>;
  if (type == Type::f64) return unary<Operation, double>;
  return nullptr;
}

template <class Operation>
Handler floating_binary_of(Type type) {
  if (type == Type::f32) return binary<Operation, float>;
  if (type == Type::f64) return binary<Operation, double>;
  return nullptr;
}

Handler product_of(Reading& r, bool add) {
  const Type type = r.type();
  if (type == Type::f32 || type == Type::f64) {
    r.take("rn");
    return add ? nullptr : floating_binary_of<Multiply>(type);
  }
  if (r.take("wide")) {
    switch (type) {
      case Type::u16:
        return add ? multiply_wide<std::uint16_t, std::uint32_t, true>
                   : multiply_wide<std::uint16_t, std::uint32_t, false>;
      case Type::s16:
        return add ? multiply_wide<std::int16_t, std::int32_t, true>
                   : multiply_wide<std::int16_t, std::int32_t, false>;
      case Type::u32:
        return add ? multiply_wide<std::uint32_t, std::uint64_t, true>
                   : multiply_wide<std::uint32_t, std::uint64_t, false>;
      case Type::s32:
        return add ? multiply_wide<std::int32_t, std::int64_t, true>
                   : multiply_wide<std::int32_t, std::int64_t, false>;
      default:
        return nullptr;
    }
  }
  if (r.take("hi")) {
    if (type == Type::u64)
      return add ? multiply_add<MultiplyHighUnsigned64, std::uint64_t>
                 : binary<MultiplyHighUnsigned64, std::uint64_t>;
    if (add) return select(type, [](auto x) -> Handler { return multiply_add<MultiplyHigh, decltype(x)>; });
    return binary_of<MultiplyHigh>(type);
  }
  if (!r.take("lo")) return nullptr;
  if (add) return select(type, [](auto x) -> Handler { return multiply_add<Multiply, decltype(x)>; });
  return binary_of<Multiply>(type);
}

Handler fused_of(Reading& r) {
  static constexpr Handler kRounded[] = {fused_multiply_add_rounded<FE_DOWNWARD>,
                                         fused_multiply_add_rounded<FE_UPWARD>,
                                         fused_multiply_add_rounded<FE_TOWARDZERO>};
  const int rounding = r.take_one_of({"rm", "rp", "rz"});
  if (rounding >= 0) return r.type() == Type::f32 ? kRounded[rounding] : nullptr;
  if (!r.take("rn")) return nullptr;
  if (r.type() == Type::f32) return fused_multiply_add<float>;
  return r.type() == Type::f64 ? fused_multiply_add<double> : nullptr;
}

// ------------------------------------------------------------------------------------------ comparisons

enum Comparison { eq, ne, lt, le, gt, ge, equ, neu, ltu, leu, gtu, geu, num, nan_ };

template <Comparison kComparison, class T>
bool compare(T a, T b) {
  if constexpr (kComparison == ne) return a < b || a > b;  // false for NaN, as all up to `ge` are
  if constexpr (kComparison == eq) return a == b;
  if constexpr (kComparison == lt) return a < b;
  if constexpr (kComparison == le) return a <= b;
  if constexpr (kComparison == gt) return a > b;
  if constexpr (kComparison == ge) return a >= b;
  if constexpr (kComparison == equ) return !(a < b || a > b);
  if constexpr (kComparison == neu) return !(a == b);
  if constexpr (kComparison == ltu) return !(a >= b);
  if constexpr (kComparison == leu) return !(a > b);
  if constexpr (kComparison == gtu) return !(a <= b);
  if constexpr (kComparison == geu) return !(a < b);
  if constexpr (kComparison == num) return a == a && b == b;
  return a != a || b != b;
}

enum Combination { alone, with_and, with_or, with_xor };

template <Comparison kComparison, Combination kCombination, class T>
void set_predicate(Thread& t, const Instruction& i) {
  bool result = compare<kComparison>(read<T>(t, i.a), read<T>(t, i.b));
  bool opposite = !result;
  if constexpr (kCombination != alone) {
    const bool other = read<bool>(t, i.c);
    const auto combine = [other](bool x) {
      return kCombination == with_and ? x && other : kCombination == with_or ? x || other : x != other;
    };
    result = combine(result);
    opposite = combine(opposite);
  }
  write<bool>(t, i.d, result);
  if (i.defs) write<bool>(t, t.function->lists[i.list], opposite);
}

template <Comparison kComparison>
Handler predicate_of(Type type, Combination combination) {
  return select(type, [combination](auto x) -> Handler {
    using T = decltype(x);
    switch (combination) {
      case with_and:
        return set_predicate<kComparison, with_and, T>;
      case with_or:
        return set_predicate<kComparison, with_or, T>;
      case with_xor:
        return set_predicate<kComparison, with_xor, T>;
      default:
        return set_predicate<kComparison, alone, T>;
    }
  });
}

Handler comparison_of(Reading& r) {
  if (r.operand(0).second != kNone) r.define(r.operand(0).second);
  const auto combination = static_cast<Combination>(r.take_one_of({"and", "or", "xor"}) + 1);
  constexpr Handler (*kMake[])(Type, Combination) = {
      predicate_of<eq>,  predicate_of<ne>,  predicate_of<lt>,  predicate_of<le>,  predicate_of<gt>,
      predicate_of<ge>,  predicate_of<equ>, predicate_of<neu>, predicate_of<ltu>, predicate_of<leu>,
      predicate_of<gtu>, predicate_of<geu>, predicate_of<num>, predicate_of<nan_>};
  int k = r.take_one_of(
      {"eq", "ne", "lt", "le", "gt", "ge", "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan"});
  if (k < 0) k = r.take_one_of({"-", "-", "lo", "ls", "hi", "hs"});
  return k < 0 ? nullptr : kMake[k](r.type(), combination);
}

template <class T>
void pick(Thread& t, const Instruction& i) {
  write<T>(t, i.d, read<bool>(t, i.c) ? read<T>(t, i.a) : read<T>(t, i.b));
}

}  // namespace

void decode_arithmetic(Reading& r) {
  const auto base = r.base();
  Handler& run = r.i.run;
  const Type type = r.type();
  const bool floating = type == Type::f32 || type == Type::f64;
  if (base == "add" || base == "sub") {
    if (floating) r.take("rn");
    run = base == "add" ? binary_of<Add>(type) : binary_of<Subtract>(type);
  } else if (base == "mul") {
    run = product_of(r, false);
  } else if (base == "mad") {
    run = floating ? fused_of(r) : product_of(r, true);
  } else if (base == "fma") {
    run = fused_of(r);
  } else if (base == "div") {
    if (floating) r.take_one_of({"rn", "full", "approx"});
    run = binary_of<Divide>(type);
  } else if (base == "rem") {
    run = floating ? nullptr : binary_of<Remainder>(type);
  } else if (base == "min" || base == "max") {
    const bool nan = floating && r.take("NaN");
    if (base == "min")
      run = nan ? floating_binary_of<OrNaN<Minimum>>(type) : binary_of<Minimum>(type);
    else
      run = nan ? floating_binary_of<OrNaN<Maximum>>(type) : binary_of<Maximum>(type);
  } else if (base == "copysign") {
    run = floating_binary_of<CopySign>(type);
  } else if (base == "neg") {
    run = unary_of<Negate>(type);
  } else if (base == "abs") {
    run = unary_of<Absolute>(type);
  } else if (base == "sqrt") {
    r.take_one_of({"rn", "approx"});
    run = floating_unary_of<Root>(type);
  } else if (base == "rcp") {
    const bool rough = type == Type::f64 && r.take("approx") && r.take("ftz");
    if (!rough) r.take_one_of({"rn", "approx"});
    run = rough ? unary<RoughReciprocal, double> : floating_unary_of<Reciprocal>(type);
  } else if (base == "rsqrt" && r.take("approx")) {
    run = floating_unary_of<ReciprocalRoot>(type);
  } else if (base == "ex2" && type == Type::f32 && r.take("approx")) {
    run = r.take("ftz") ? unary<FlushedExp2, float> : unary<Exp2, float>;
  } else if (base == "lg2" && type == Type::f32 && r.take("approx")) {
    run = unary<Function1<log2f>, float>;
  } else if (base == "sin" && type == Type::f32 && r.take("approx")) {
    run = unary<Function1<sinf>, float>;
  } else if (base == "cos" && type == Type::f32 && r.take("approx")) {
    run = unary<Function1<cosf>, float>;
  } else if (base == "tanh" && type == Type::f32 && r.take("approx")) {
    run = unary<Function1<tanhf>, float>;
  } else if (base == "setp") {
    run = comparison_of(r);
  } else if (base == "selp") {
    run = select(type, [](auto x) -> Handler { return pick<decltype(x)>; });
  }
  if (run) r.use_operands();
}

}  // namespace clx::emulator::ptx
