#include "kernels/cuda/emulator/ptx/decode.h"

#include <array>
#include <utility>

#include "kernels/cuda/emulator/ptx/reading.h"

namespace clx::emulator::ptx {
namespace {

Type type_named(std::string_view name) {
  static constexpr std::pair<std::string_view, Type> kTypes[] = {
      {"b8", Type::b8},     {"b16", Type::b16},      {"b32", Type::b32},   {"b64", Type::b64},
      {"u8", Type::u8},     {"u16", Type::u16},      {"u32", Type::u32},   {"u64", Type::u64},
      {"s8", Type::s8},     {"s16", Type::s16},      {"s32", Type::s32},   {"s64", Type::s64},
      {"f32", Type::f32},   {"f64", Type::f64},      {"pred", Type::pred}, {"bf16", Type::bf16},
      {"tf32", Type::tf32}, {"bf16x2", Type::bf16x2}};
  for (const auto& [text, type] : kTypes)
    if (name == text) return type;
  return Type::none;
}

}  // namespace

Reading::Reading(const Statement& s, Function& f) : s_(s), f_(f) {
  i.guard = s.guard;
  i.guard_is_negated = s.guard_is_negated;
  i.line = s.line;
  i.list = static_cast<std::uint32_t>(f.lists.size());
  for (std::size_t k = 1; k < s.name.size(); ++k) {
    if (const Type t = type_named(s.name[k]); t != Type::none)
      types.push_back(t);
    else
      parts_.push_back(s.name[k]);
  }
}

bool Reading::take(std::string_view part) {
  const auto found = std::find(parts_.begin(), parts_.end(), part);
  if (found == parts_.end()) return false;
  parts_.erase(found);
  return true;
}

int Reading::take_one_of(std::initializer_list<std::string_view> parts) {
  int k = 0;
  for (const auto part : parts) {
    if (take(part)) return k;
    ++k;
  }
  return -1;
}

const Operand& Reading::operand(std::size_t k) const {
  if (k >= s_.operands.size()) unknown();
  return s_.operands[k];
}

void Reading::use_operands() {
  const std::array<std::uint32_t*, 4> fields = {&i.d, &i.a, &i.b, &i.c};
  if (operands() > fields.size()) unknown();
  for (std::size_t k = 0; k < operands(); ++k) {
    if (operand(k).kind != Operand::Kind::value) unknown();
    *fields[k] = operand(k).id;
  }
}

void Reading::define(std::uint32_t id) {
  f_.lists.push_back(id);
  ++i.defs;
}

void Reading::define(const Operand& vector) {
  for (const auto id : vector.members)
    define(id);
}

void Reading::use(std::uint32_t id) {
  f_.lists.push_back(id);
  ++i.uses;
}

void Reading::use(const Operand& vector) {
  for (const auto id : vector.members)
    use(id);
}

void Reading::use_address(std::size_t k) {
  if (operand(k).kind != Operand::Kind::address) unknown();
  i.a = operand(k).id;
  i.value = operand(k).number;
}

std::int64_t Reading::literal(std::size_t k) const {
  if (!operand(k).literal) unknown();
  return operand(k).number;
}

std::uint32_t Reading::new_register() {
  return f_.registers++;
}

void Reading::unknown() const {
  std::string name;
  for (const auto part : s_.name)
    name += (name.empty() ? "" : ".") + std::string(part);
  throw UnknownInstruction("PTX line " + std::to_string(s_.line) + ": unknown instruction " + name);
}

Instruction decode(const Statement& s, Function& f) {
  Reading r(s, f);
  for (const auto decode_some :
       {decode_arithmetic, decode_conversion, decode_bits, decode_memory, decode_control, decode_matrix}) {
    decode_some(r);
    if (r.i.run) break;
  }
  if (!r.i.run || !r.all_taken()) r.unknown();
  return r.i;
}

}  // namespace clx::emulator::ptx
