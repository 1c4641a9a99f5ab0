// The words of PTX.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace clx::emulator::ptx {

class Lexer {
 public:
  Lexer(std::string_view text, std::uint32_t line) : text_(text), line_(line) {}

  std::uint32_t line() const { return line_; }
  bool at_end();
  /// The next character after blanks and comments; 0 at the end.
  char peek();
  /// Takes `c` if it is the next character.
  bool eat(char c);
  void need(char c);
  /// A name, directive or number: letters, digits, and _ $ % . and the colons of a double colon.
  std::string_view word();
  std::int64_t number();
  /// The text between two quotation marks.
  std::string_view quoted();
  /// Takes everything up to `c`, without it.
  std::string_view until(char c);

  [[noreturn]] void refuse(const std::string& what) const;

 private:
  void skip();
  std::string_view text_;
  std::size_t at_ = 0;
  std::uint32_t line_;
};

/// The bits of a literal of PTX: decimal, hexadecimal, 0f… for f32, 0d… for f64. False if it is none.
bool literal_bits(std::string_view word, std::uint64_t& bits);

}  // namespace clx::emulator::ptx
