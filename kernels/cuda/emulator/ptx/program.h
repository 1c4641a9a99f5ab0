// A kernel's PTX in the form in which it is executed: one handler per instruction, operands as registers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace clx::emulator::ptx {

struct Thread;
struct Instruction;
using Handler = void (*)(Thread&, const Instruction&);

constexpr std::uint32_t kNone = 0xffffffffu;

/// A literal, a special register and the address of a variable are registers too, filled before a thread
/// starts; while a kernel is decoded their numbers carry this bit.
constexpr std::uint32_t kConstant = 0x80000000u;

struct Instruction {
  Handler run = nullptr;
  std::uint32_t d = kNone, a = kNone, b = kNone, c = kNone;  // one written register, three read ones
  std::uint32_t guard = kNone;                               // runs only if this predicate is true
  bool guard_is_negated = false;
  std::uint8_t detail = 0;           // what the handler's template does not say
  std::uint16_t defs = 0, uses = 0;  // further registers: Function::lists[list …], the written ones first
  std::uint32_t list = 0;
  std::uint32_t line = 0;          // in the PTX
  std::uint32_t place = 0;         // in the source: Function::places
  std::int64_t value = 0;          // offset of an address, target of a branch, a literal
  std::int64_t second_offset = 0;  // of a second address, whose base is b
};

enum class Storage { parameter, static_shared, dynamic_shared, local };

struct Variable {
  Storage storage = Storage::parameter;
  std::size_t offset = 0, bytes = 0, alignment = 1;
};

enum class Special {
  tid_x,
  tid_y,
  tid_z,
  ntid_x,
  ntid_y,
  ntid_z,
  ctaid_x,
  ctaid_y,
  ctaid_z,
  nctaid_x,
  nctaid_y,
  nctaid_z,
  laneid,
  warpid
};

/// A register that is filled before a thread starts.
struct Constant {
  enum class Kind { literal, special, variable } kind = Kind::literal;
  std::uint64_t value = 0;  // the literal, the Special, the index of the variable
};

struct Place {
  const char* file = "?";
  std::uint32_t line = 0, column = 0;
};

struct Function {
  std::string name;  // mangled
  std::vector<Instruction> code;
  std::vector<std::uint32_t> lists;
  std::uint32_t registers = 0;      // before the constants
  std::vector<Constant> constants;  // register `registers + i`
  std::vector<Variable> variables;
  std::vector<std::size_t> parameters;  // their variables
  std::size_t parameter_bytes = 0, local_bytes = 0;
  std::uint64_t max_threads = 0;  // of a block, by __launch_bounds__; 0 without
  std::vector<Place> places{{}};
};

/// Gives registers whose lives do not overlap the same place.
void share_registers(Function&);

}  // namespace clx::emulator::ptx
