#include "kernels/cuda/emulator/ptx/lexer.h"

#include <cctype>
#include <charconv>
#include <stdexcept>

namespace clx::emulator::ptx {
namespace {

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '$' || c == '%' || c == '.';
}

}  // namespace

void Lexer::skip() {
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (std::isspace(static_cast<unsigned char>(c))) {
      line_ += c == '\n';
      ++at_;
    } else if (text_.substr(at_, 2) == "//") {
      at_ = std::min(text_.find('\n', at_), text_.size());
    } else {
      return;
    }
  }
}

bool Lexer::at_end() {
  skip();
  return at_ >= text_.size();
}

char Lexer::peek() {
  return at_end() ? '\0' : text_[at_];
}

bool Lexer::eat(char c) {
  if (peek() != c) return false;
  ++at_;
  return true;
}

void Lexer::need(char c) {
  if (!eat(c)) refuse(std::string("expected '") + c + "'");
}

std::string_view Lexer::word() {
  skip();
  const std::size_t begin = at_;
  while (at_ < text_.size()) {
    if (text_.substr(at_, 2) == "::")
      at_ += 2;
    else if (is_word(text_[at_]))
      ++at_;
    else
      break;
  }
  if (at_ == begin) refuse("expected a word");
  return text_.substr(begin, at_ - begin);
}

std::int64_t Lexer::number() {
  const bool negative = eat('-');
  std::uint64_t bits = 0;
  if (!literal_bits(word(), bits)) refuse("expected a number");
  return static_cast<std::int64_t>(negative ? 0 - bits : bits);
}

std::string_view Lexer::quoted() {
  need('"');
  const auto text = until('"');
  need('"');
  return text;
}

std::string_view Lexer::until(char c) {
  const std::size_t begin = at_;
  while (at_ < text_.size() && text_[at_] != c)
    line_ += text_[at_++] == '\n';
  return text_.substr(begin, at_ - begin);
}

void Lexer::refuse(const std::string& what) const {
  throw std::runtime_error("PTX line " + std::to_string(line_) + ": " + what + " before '" +
                           std::string(text_.substr(at_, 30)) + "'");
}

bool literal_bits(std::string_view word, std::uint64_t& bits) {
  if (word.empty() || !std::isdigit(static_cast<unsigned char>(word[0]))) return false;
  int base = 10;
  if (word.size() > 2 && word[0] == '0' && std::string_view("xXfFdD").find(word[1]) != word.npos) {
    base = 16;
    word.remove_prefix(2);
  }
  if (word.back() == 'U') word.remove_suffix(1);
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), bits, base);
  return error == std::errc() && end == word.data() + word.size();
}

}  // namespace clx::emulator::ptx
