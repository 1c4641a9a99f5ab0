// Moves, logic and shifts.
#include <bit>

#include "kernels/cuda/emulator/ptx/reading.h"
#include "kernels/cuda/emulator/ptx/thread.h"

namespace clx::emulator::ptx {
namespace {

struct And {
  std::uint64_t operator()(std::uint64_t a, std::uint64_t b) const { return a & b; }
};
struct Or {
  std::uint64_t operator()(std::uint64_t a, std::uint64_t b) const { return a | b; }
};
struct Xor {
  std::uint64_t operator()(std::uint64_t a, std::uint64_t b) const { return a ^ b; }
};

template <class Operation, class T>
void logic(Thread& t, const Instruction& i) {
  write<T>(t, i.d, static_cast<T>(Operation{}(read<T>(t, i.a), read<T>(t, i.b))));
}

template <class T>
void invert(Thread& t, const Instruction& i) {
  write<T>(t, i.d, static_cast<T>(~read<T>(t, i.a)));
}

void invert_predicate(Thread& t, const Instruction& i) {
  write<bool>(t, i.d, !read<bool>(t, i.a));
}

// Shifts by more than the width give zero, or all copies of the sign.
template <class T>
void shift_left(Thread& t, const Instruction& i) {
  const auto n = read<std::uint32_t>(t, i.b);
  write<T>(t, i.d,
           n >= 8 * sizeof(T) ? T(0) : static_cast<T>(static_cast<std::uint64_t>(read<T>(t, i.a)) << n));
}

template <class T>
void shift_right(Thread& t, const Instruction& i) {
  const auto n = read<std::uint32_t>(t, i.b);
  const T x = read<T>(t, i.a);
  if (n < 8 * sizeof(T)) return write<T>(t, i.d, static_cast<T>(x >> n));
  write<T>(t, i.d, static_cast<T>(x < 0 ? -1 : 0));
}

template <class T>
void move(Thread& t, const Instruction& i) {
  write<T>(t, i.d, read<T>(t, i.a));
}

// A register from parts, or into parts: the lowest first.
void pack(Thread& t, const Instruction& i) {
  const unsigned width = i.detail;
  std::uint64_t bits = 0;
  for (unsigned k = 0; k < i.uses; ++k) {
    const std::uint64_t mask = width == 64 ? ~0ull : (1ull << width) - 1;
    bits |= (t.r[t.function->lists[i.list + k]] & mask) << k * width;
  }
  write<std::uint64_t>(t, i.d, bits);
}

void unpack(Thread& t, const Instruction& i) {
  const unsigned width = i.detail;
  const std::uint64_t bits = t.r[i.a];
  for (unsigned k = 0; k < i.defs; ++k)
    t.r[t.function->lists[i.list + k]] = bits >> k * width & ((1ull << width) - 1);
}

template <class T>
void count_ones(Thread& t, const Instruction& i) {
  write<std::uint32_t>(t, i.d, static_cast<std::uint32_t>(std::popcount(read<T>(t, i.a))));
}

template <class T>
void count_leading_zeros(Thread& t, const Instruction& i) {
  write<std::uint32_t>(t, i.d, static_cast<std::uint32_t>(std::countl_zero(read<T>(t, i.a))));
}

void reverse(Thread& t, const Instruction& i) {
  std::uint32_t x = read<std::uint32_t>(t, i.a), y = 0;
  for (int k = 0; k < 32; ++k, x >>= 1)
    y = y << 1 | (x & 1);
  write<std::uint32_t>(t, i.d, y);
}

/// The position of the highest bit, of the highest that differs from the sign for signed types.
template <class T>
void find_highest(Thread& t, const Instruction& i) {
  using Bits = std::make_unsigned_t<T>;
  const T x = read<T>(t, i.a);
  const Bits bits = static_cast<Bits>(x < 0 ? ~x : x);
  const int place = static_cast<int>(8 * sizeof(T)) - 1 - std::countl_zero(bits);
  write<std::uint32_t>(t, i.d, static_cast<std::uint32_t>(place));
}

/// `length` ones from bit `first` on.
template <class T>
T field(std::uint32_t first, std::uint32_t length) {
  const std::uint64_t ones = length >= 64 ? ~0ull : (1ull << length) - 1;
  return first >= 8 * sizeof(T) ? T(0) : static_cast<T>(ones << first);
}

template <class T>
void insert_field(Thread& t, const Instruction& i) {  // a into b
  const std::uint32_t* more = &t.function->lists[i.list];
  const auto first = read<std::uint32_t>(t, i.c) & 255, length = read<std::uint32_t>(t, more[0]) & 255;
  const T mask = field<T>(first, length), a = read<T>(t, i.a), b = read<T>(t, i.b);
  write<T>(t, i.d, static_cast<T>((b & ~mask) | (first < 8 * sizeof(T) ? a << first & mask : 0)));
}

template <class T>
void extract_field(Thread& t, const Instruction& i) {
  const auto first = read<std::uint32_t>(t, i.b) & 255, length = read<std::uint32_t>(t, i.c) & 255;
  const T x = read<T>(t, i.a);
  const std::uint32_t width = 8 * sizeof(T);
  const bool sign = std::is_signed_v<T> && length && x >> std::min(first + length - 1, width - 1) & 1;
  T y = first < width ? static_cast<T>(x >> first) : T(0);
  const T mask = field<T>(0, length);
  y = static_cast<T>(sign ? y | ~mask : y & mask);
  write<T>(t, i.d, y);
}

void permute(Thread& t, const Instruction& i) {
  const std::uint64_t bytes = read<std::uint32_t>(t, i.a) | std::uint64_t(read<std::uint32_t>(t, i.b)) << 32;
  const auto selector = read<std::uint32_t>(t, i.c);
  std::uint32_t y = 0;
  for (int k = 0; k < 4; ++k) {
    const std::uint32_t choice = selector >> 4 * k & 15;
    std::uint32_t byte = bytes >> 8 * (choice & 7) & 255;
    if (choice & 8) byte = byte & 128 ? 255 : 0;
    y |= byte << 8 * k;
  }
  write<std::uint32_t>(t, i.d, y);
}

void three_way_logic(Thread& t, const Instruction& i) {
  const auto a = read<std::uint32_t>(t, i.a), b = read<std::uint32_t>(t, i.b),
             c = read<std::uint32_t>(t, i.c);
  std::uint32_t y = 0;
  for (int k = 0; k < 8; ++k)
    if (i.value >> k & 1) y |= (k & 4 ? a : ~a) & (k & 2 ? b : ~b) & (k & 1 ? c : ~c);
  write<std::uint32_t>(t, i.d, y);
}

template <bool kLeft, bool kWrap>
void funnel_shift(Thread& t, const Instruction& i) {
  const std::uint64_t both = read<std::uint32_t>(t, i.a) | std::uint64_t(read<std::uint32_t>(t, i.b)) << 32;
  const auto wanted = read<std::uint32_t>(t, i.c), n = kWrap ? wanted & 31 : std::min(wanted, 32u);
  write<std::uint32_t>(t, i.d, static_cast<std::uint32_t>(kLeft ? both << n >> 32 : both >> n));
}

template <class Operation>
Handler logic_of(Type type) {
  if (type == Type::pred) return logic<Operation, bool>;
  if (type == Type::b16) return logic<Operation, std::uint16_t>;
  if (type == Type::b32) return logic<Operation, std::uint32_t>;
  return type == Type::b64 ? logic<Operation, std::uint64_t> : nullptr;
}

unsigned bits_of(Type type) {
  return type == Type::b16 ? 16 : type == Type::b32 ? 32 : type == Type::b64 ? 64 : 0;
}

bool decode_parts(Reading& r) {
  const unsigned bits = bits_of(r.type());
  const bool to_parts = r.operand(0).kind == Operand::Kind::vector;
  const Operand& parts = r.operand(to_parts ? 0 : 1);
  if (parts.kind != Operand::Kind::vector || bits == 0) return false;
  r.i.detail = static_cast<std::uint8_t>(bits / parts.members.size());
  if (to_parts) {
    r.i.a = r.operand(1).id;
    r.define(parts);
  } else {
    r.i.d = r.operand(0).id;
    r.use(parts);
  }
  r.i.run = to_parts ? unpack : pack;
  return true;
}

template <class F>
Handler of_integers(Type type, F make) {
  switch (type) {
    case Type::u32:
    case Type::b32:
      return make(std::uint32_t{});
    case Type::s32:
      return make(std::int32_t{});
    case Type::u64:
    case Type::b64:
      return make(std::uint64_t{});
    case Type::s64:
      return make(std::int64_t{});
    default:
      return nullptr;
  }
}

}  // namespace

void decode_bits(Reading& r) {
  const auto base = r.base();
  const Type type = r.type();
  Handler& run = r.i.run;
  if (base == "mov") {
    if (decode_parts(r)) return;
    run = type == Type::pred ? move<bool> : select(type, [](auto x) -> Handler { return move<decltype(x)>; });
  } else if (base == "and") {
    run = logic_of<And>(type);
  } else if (base == "or") {
    run = logic_of<Or>(type);
  } else if (base == "xor") {
    run = logic_of<Xor>(type);
  } else if (base == "not") {
    if (type == Type::pred) run = invert_predicate;
    if (type == Type::b16) run = invert<std::uint16_t>;
    if (type == Type::b32) run = invert<std::uint32_t>;
    if (type == Type::b64) run = invert<std::uint64_t>;
  } else if (base == "shl") {
    if (type == Type::b16) run = shift_left<std::uint16_t>;
    if (type == Type::b32) run = shift_left<std::uint32_t>;
    if (type == Type::b64) run = shift_left<std::uint64_t>;
  } else if (base == "shr") {
    if (type == Type::u16 || type == Type::b16)
      run = shift_right<std::uint16_t>;
    else if (type == Type::s16)
      run = shift_right<std::int16_t>;
    else
      run = of_integers(type, [](auto x) -> Handler { return shift_right<decltype(x)>; });
  } else if (base == "popc") {
    run = type == Type::b64 ? count_ones<std::uint64_t> : count_ones<std::uint32_t>;
  } else if (base == "clz") {
    run = type == Type::b64 ? count_leading_zeros<std::uint64_t> : count_leading_zeros<std::uint32_t>;
  } else if (base == "brev" && type == Type::b32) {
    run = reverse;
  } else if (base == "bfind") {
    run = of_integers(type, [](auto x) -> Handler { return find_highest<decltype(x)>; });
  } else if (base == "bfe") {
    run = of_integers(type, [](auto x) -> Handler { return extract_field<decltype(x)>; });
  } else if (base == "prmt" && type == Type::b32) {
    run = permute;
  } else if (base == "shf" && type == Type::b32) {
    const bool left = r.take("l"), wrap = r.take("wrap");
    if (!left) r.take("r");
    if (!wrap) r.take("clamp");
    if (left)
      run = wrap ? funnel_shift<true, true> : funnel_shift<true, false>;
    else
      run = wrap ? funnel_shift<false, true> : funnel_shift<false, false>;
  } else if (base == "bfi" || base == "lop3") {
    r.i.d = r.operand(0).id;
    r.i.a = r.operand(1).id;
    r.i.b = r.operand(2).id;
    r.i.c = r.operand(3).id;
    if (base == "lop3") {
      r.i.value = r.literal(4);
      run = type == Type::b32 ? three_way_logic : nullptr;
    } else {
      r.use(r.operand(4).id);
      run = type == Type::b64 ? insert_field<std::uint64_t> : insert_field<std::uint32_t>;
    }
    return;
  }
  if (run) r.use_operands();
}

}  // namespace clx::emulator::ptx
