// An instruction while it is decoded: the parts of its name are taken one by one, and what nobody takes makes
// it unknown.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

#include "kernels/cuda/emulator/ptx/decode.h"

namespace clx::emulator::ptx {

enum class Type : std::uint8_t {
  none,
  b8,
  b16,
  b32,
  b64,
  u8,
  u16,
  u32,
  u64,
  s8,
  s16,
  s32,
  s64,
  f32,
  f64,
  pred,
  bf16,
  bf16x2,
  tf32
};

class Reading {
 public:
  Reading(const Statement& s, Function& f);

  Instruction i;
  std::vector<Type> types;  // of the name, in order

  std::string_view base() const { return s_.name[0]; }
  Type type() const { return types.empty() ? Type::none : types[0]; }
  bool has(std::string_view part) const {
    return std::find(parts_.begin(), parts_.end(), part) != parts_.end();
  }
  /// Takes a part of the name.
  bool take(std::string_view part);
  /// The index of the part that is there, taken; −1 if none.
  int take_one_of(std::initializer_list<std::string_view> parts);

  std::size_t operands() const { return s_.operands.size(); }
  const Operand& operand(std::size_t k) const;
  /// Fills d and a, b, c from the operands in order.
  void use_operands();
  /// Appends to the list of written registers; all of them come before the first used one.
  void define(std::uint32_t id);
  void define(const Operand& vector);
  void use(std::uint32_t id);
  void use(const Operand& vector);
  /// The address in operand k becomes a and `value`.
  void use_address(std::size_t k);
  std::int64_t literal(std::size_t k) const;
  std::uint32_t new_register();

  bool all_taken() const { return parts_.empty(); }
  [[noreturn]] void unknown() const;

 private:
  const Statement& s_;
  Function& f_;
  std::vector<std::string_view> parts_;
};

// Each gives i.run a value if it knows the instruction.
void decode_arithmetic(Reading&);
void decode_conversion(Reading&);
void decode_bits(Reading&);
void decode_memory(Reading&);
void decode_control(Reading&);
void decode_matrix(Reading&);

/// make(T{}) with the C++ type of a type of PTX; null for types without one.
template <class F>
Handler select(Type type, F make) {
  switch (type) {
    case Type::b8:
    case Type::u8:
      return make(std::uint8_t{});
    case Type::s8:
      return make(std::int8_t{});
    case Type::b16:
    case Type::u16:
      return make(std::uint16_t{});
    case Type::s16:
      return make(std::int16_t{});
    case Type::b32:
    case Type::u32:
      return make(std::uint32_t{});
    case Type::s32:
      return make(std::int32_t{});
    case Type::b64:
    case Type::u64:
      return make(std::uint64_t{});
    case Type::s64:
      return make(std::int64_t{});
    case Type::f32:
      return make(float{});
    case Type::f64:
      return make(double{});
    default:
      return nullptr;
  }
}

}  // namespace clx::emulator::ptx
