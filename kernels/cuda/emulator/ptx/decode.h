// From a statement of PTX to an instruction that can be executed.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/cuda/emulator/ptx/program.h"

namespace clx::emulator::ptx {

/// PTX that the emulator does not know; the text names the line and the instruction.
class UnknownInstruction : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct Operand {
  enum class Kind { value, vector, address } kind = Kind::value;
  std::uint32_t id = kNone;            // of a value, of an address's base
  std::uint32_t second = kNone;        // after a bar: %r1|%p1
  std::vector<std::uint32_t> members;  // of a vector, of the coordinates in an address
  bool literal = false;
  std::int64_t number = 0;  // the literal, the offset of an address
};

/// `@guard name operands;` with the name split at its dots.
struct Statement {
  std::uint32_t guard = kNone;
  bool guard_is_negated = false;
  std::vector<std::string_view> name;
  std::vector<Operand> operands;
  std::string_view label;  // where a branch goes
  std::uint32_t line = 0;
};

/// Throws UnknownInstruction.
Instruction decode(const Statement&, Function&);

bool is_branch(const Instruction&);
/// Whether it ends the thread.
bool leaves(const Instruction&);

}  // namespace clx::emulator::ptx
