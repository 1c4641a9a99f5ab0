#include "kernels/cuda/emulator/ptx/module.h"

#include <algorithm>
#include <array>
#include <set>
#include <stdexcept>
#include <unordered_map>

#include "kernels/cuda/emulator/ptx/decode.h"
#include "kernels/cuda/emulator/ptx/lexer.h"

namespace clx::emulator::ptx {
namespace {

const char* keep(std::string_view text) {
  static auto& names = *new std::set<std::string, std::less<>>;
  return names.emplace(text).first->c_str();
}

std::size_t size_of_type(Lexer& lexer, std::string_view type) {
  if (type == ".pred") return 1;
  std::uint64_t bits = 0;
  const auto digits = type.find_first_of("0123456789");
  if (digits == type.npos || !literal_bits(type.substr(digits), bits)) lexer.refuse("expected a type");
  return bits / 8;
}

struct Declaration {
  std::string_view name;
  Variable variable;
  bool open = false;  // an array without a size
};

// After .shared, .local or .param: [.align n] .type name [n]…
Declaration declaration(Lexer& lexer, Storage storage) {
  Declaration d;
  d.variable.storage = storage;
  std::string_view word = lexer.word();
  if (word == ".align") {
    d.variable.alignment = static_cast<std::size_t>(lexer.number());
    word = lexer.word();
  }
  const std::size_t element = size_of_type(lexer, word);
  d.name = lexer.word();
  d.variable.bytes = element;
  d.variable.alignment = std::max(d.variable.alignment, element);
  while (lexer.eat('[')) {
    d.open = lexer.peek() == ']';
    if (!d.open) d.variable.bytes *= static_cast<std::size_t>(lexer.number());
    lexer.need(']');
  }
  if (d.open) d.variable.bytes = 0;
  return d;
}

std::size_t round_up(std::size_t n, std::size_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

/// Reads one kernel, statement by statement.
class Reader {
 public:
  Reader(const Module& module, const Module::Kernel& kernel)
      : module_(module), lexer_(kernel.text, kernel.line) {
    f_.name = kernel.name;
  }

  Function read() {
    lexer_.word();  // .entry
    lexer_.word();  // its name
    if (lexer_.eat('(')) parameters();
    while (lexer_.peek() != '{') {
      const bool bounds = lexer_.word() == ".maxntid";
      const std::uint64_t product = numbers();
      if (bounds) f_.max_threads = product;
    }
    scopes_.emplace_back();
    lexer_.need('{');
    while (!scopes_.empty())
      statement();
    if (!jumps_.empty()) lexer_.refuse("no label " + std::string(jumps_.front().label));
    share_registers(f_);
    return std::move(f_);
  }

 private:
  struct Range {
    std::uint32_t first, count;
  };
  struct Scope {
    std::unordered_map<std::string_view, std::uint32_t> names;
    std::unordered_map<std::string_view, Range> ranges;
    std::unordered_map<std::string_view, std::size_t> labels;
    std::size_t first_jump = 0;
  };
  struct Jump {
    std::size_t instruction;
    std::string_view label;
  };

  // Their product.
  std::uint64_t numbers() {
    std::uint64_t product = 1;
    while (lexer_.peek() >= '0' && lexer_.peek() <= '9') {
      product *= static_cast<std::uint64_t>(lexer_.number());
      lexer_.eat(',');
    }
    return product;
  }

  void parameters() {
    if (lexer_.eat(')')) return;
    do {
      if (lexer_.word() != ".param") lexer_.refuse("expected a parameter");
      auto d = declaration(lexer_, Storage::parameter);
      d.variable.offset = round_up(f_.parameter_bytes, d.variable.alignment);
      f_.parameter_bytes = d.variable.offset + d.variable.bytes;
      f_.parameters.push_back(f_.variables.size());
      declare(d);
    } while (lexer_.eat(','));
    lexer_.need(')');
  }

  void declare(const Declaration& d) {
    variables_[d.name] = f_.variables.size();
    f_.variables.push_back(d.variable);
  }

  void statement() {
    if (lexer_.eat('{')) {
      scopes_.emplace_back().first_jump = jumps_.size();
      return;
    }
    if (lexer_.eat('}')) return close_scope();
    if (lexer_.eat(';')) return;
    Statement s;
    s.line = lexer_.line();
    if (lexer_.eat('@')) {
      s.guard_is_negated = lexer_.eat('!');
      s.guard = register_of(lexer_.word());
    }
    const std::string_view word = lexer_.word();
    if (word[0] == '.') return directive(word);
    if (lexer_.eat(':')) {
      scopes_.back().labels[word] = f_.code.size();
      return;
    }
    instruction(s, word);
  }

  void directive(std::string_view word) {
    if (word == ".reg") return registers();
    if (word == ".loc") return location();
    if (word == ".shared") {
      declare(declaration(lexer_, Storage::static_shared));
    } else if (word == ".local") {
      auto d = declaration(lexer_, Storage::local);
      d.variable.offset = round_up(f_.local_bytes, std::max<std::size_t>(d.variable.alignment, 16));
      f_.local_bytes = d.variable.offset + d.variable.bytes;
      declare(d);
    } else if (word == ".pragma") {
      lexer_.quoted();
    } else {
      lexer_.refuse("unknown directive " + std::string(word));
    }
    lexer_.need(';');
  }

  void registers() {
    lexer_.word();  // the type
    do {
      const auto name = lexer_.word();
      if (lexer_.eat('<')) {
        const auto count = static_cast<std::uint32_t>(lexer_.number());
        lexer_.need('>');
        scopes_.back().ranges[name] = {f_.registers, count};
        f_.registers += count;
      } else {
        scopes_.back().names[name] = f_.registers++;
      }
    } while (lexer_.eat(','));
    lexer_.need(';');
  }

  // A line of ours: one in a header of the toolkit or of PTX wrappers stands for the one that called it.
  void location() {
    using Key = std::array<std::uint32_t, 3>;
    const auto key = [this] {
      Key k{};
      for (auto& part : k)
        part = static_cast<std::uint32_t>(lexer_.number());
      return k;
    };
    Key here = key();
    if (lexer_.eat(',')) {
      lexer_.word();  // function_name
      lexer_.word();
      if (lexer_.eat('+')) lexer_.number();
      lexer_.need(',');
      lexer_.word();  // inlined_at
      callers_[here] = key();
    } else {
      callers_.erase(here);
    }
    const auto is_wrapper = [this](std::uint32_t file) {
      const auto found = module_.files.find(file);
      if (found == module_.files.end()) return false;
      const std::string_view name = found->second;
      return name.find("/ptx.h") != name.npos || name.find("/ptx_hopper.h") != name.npos ||
             (name.find("kernels/") == name.npos && name.find("tests/") == name.npos);
    };
    for (int hops = 0; hops < 8 && is_wrapper(here[0]) && callers_.count(here); ++hops)
      here = callers_[here];
    if (here[1] == 0) return;  // made by the compiler
    const auto file = module_.files.find(here[0]);
    f_.places.push_back({file == module_.files.end() ? "?" : file->second, here[1], here[2]});
  }

  void instruction(Statement& s, std::string_view word) {
    for (std::size_t begin = 0; begin <= word.size();) {
      const std::size_t dot = std::min(word.find('.', begin), word.size());
      s.name.push_back(word.substr(begin, dot - begin));
      begin = dot + 1;
    }
    if (s.name[0] == "bra") {
      s.label = lexer_.word();
    } else if (lexer_.peek() != ';') {
      do
        s.operands.push_back(operand(s));
      while (lexer_.eat(','));
    }
    lexer_.need(';');
    Instruction i = decode(s, f_);
    i.place = static_cast<std::uint32_t>(f_.places.size() - 1);
    if (!s.label.empty()) jumps_.push_back({f_.code.size(), s.label});
    f_.code.push_back(i);
  }

  Operand operand(Statement& s) {
    Operand o;
    if (lexer_.eat('{')) {
      o.kind = Operand::Kind::vector;
      do
        o.members.push_back(operand(s).id);
      while (lexer_.eat(','));
      lexer_.need('}');
      return o;
    }
    if (lexer_.eat('[')) return address(s);
    if (lexer_.eat('!')) return negated(s);
    if (lexer_.peek() == '-' || (lexer_.peek() >= '0' && lexer_.peek() <= '9')) {
      o.literal = true;
      o.number = lexer_.number();
      o.id = constant({Constant::Kind::literal, static_cast<std::uint64_t>(o.number)});
      return o;
    }
    o.id = value(lexer_.word());
    if (lexer_.eat('|')) o.second = value(lexer_.word());
    return o;
  }

  Operand address(Statement& s) {
    Operand o;
    o.kind = Operand::Kind::address;
    o.id = operand(s).id;
    if (lexer_.eat('+')) o.number = lexer_.number();
    if (lexer_.eat(',')) o.members = operand(s).members;
    lexer_.need(']');
    return o;
  }

  // !%p as an operand: an instruction before this one turns it round.
  Operand negated(Statement& s) {
    Operand o, of = operand(s);
    o.id = f_.registers++;
    Operand target;
    target.id = o.id;
    Statement invert;
    invert.name = {"not", "pred"};
    invert.operands = {target, of};
    invert.line = s.line;
    f_.code.push_back(decode(invert, f_));
    return o;
  }

  std::uint32_t register_of(std::string_view name) {
    const std::size_t digits = name.find_last_not_of("0123456789") + 1;
    for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
      if (const auto found = scope->names.find(name); found != scope->names.end()) return found->second;
      const auto range = scope->ranges.find(name.substr(0, digits));
      std::uint64_t number = 0;
      if (range != scope->ranges.end() && literal_bits(name.substr(digits), number) &&
          number < range->second.count)
        return range->second.first + static_cast<std::uint32_t>(number);
    }
    return kNone;
  }

  std::uint32_t value(std::string_view name) {
    if (name == "_") return f_.registers++;
    if (const auto id = register_of(name); id != kNone) return id;
    static const std::map<std::string_view, Special> kSpecials = {
        {"%tid.x", Special::tid_x},       {"%tid.y", Special::tid_y},       {"%tid.z", Special::tid_z},
        {"%ntid.x", Special::ntid_x},     {"%ntid.y", Special::ntid_y},     {"%ntid.z", Special::ntid_z},
        {"%ctaid.x", Special::ctaid_x},   {"%ctaid.y", Special::ctaid_y},   {"%ctaid.z", Special::ctaid_z},
        {"%nctaid.x", Special::nctaid_x}, {"%nctaid.y", Special::nctaid_y}, {"%nctaid.z", Special::nctaid_z},
        {"%laneid", Special::laneid},     {"%warpid", Special::warpid}};
    if (const auto found = kSpecials.find(name); found != kSpecials.end())
      return constant({Constant::Kind::special, static_cast<std::uint64_t>(found->second)});
    if (!variables_.count(name)) {
      const auto shared = module_.variables.find(name);
      if (shared == module_.variables.end()) lexer_.refuse("unknown name " + std::string(name));
      variables_[name] = f_.variables.size();
      f_.variables.push_back(shared->second);
    }
    return constant({Constant::Kind::variable, variables_[name]});
  }

  std::uint32_t constant(Constant c) {
    const auto [found, is_new] =
        constants_.try_emplace({static_cast<int>(c.kind), c.value}, f_.constants.size());
    if (is_new) f_.constants.push_back(c);
    return static_cast<std::uint32_t>(found->second) | kConstant;
  }

  void close_scope() {
    const Scope& scope = scopes_.back();
    std::vector<Jump> open(jumps_.begin(), jumps_.begin() + static_cast<std::ptrdiff_t>(scope.first_jump));
    for (std::size_t k = scope.first_jump; k < jumps_.size(); ++k) {
      const auto found = scope.labels.find(jumps_[k].label);
      if (found == scope.labels.end())
        open.push_back(jumps_[k]);
      else
        f_.code[jumps_[k].instruction].value = static_cast<std::int64_t>(found->second);
    }
    jumps_ = std::move(open);
    scopes_.pop_back();
  }

  const Module& module_;
  Lexer lexer_;
  Function f_;
  std::vector<Scope> scopes_;
  std::vector<Jump> jumps_;
  std::unordered_map<std::string_view, std::size_t> variables_;
  std::map<std::pair<int, std::uint64_t>, std::size_t> constants_;
  std::map<std::array<std::uint32_t, 3>, std::array<std::uint32_t, 3>> callers_;
};

std::size_t end_of_body(std::string_view text, std::size_t at) {
  int depth = 0;
  for (at = text.find('{', at); at < text.size(); ++at) {
    depth += text[at] == '{';
    depth -= text[at] == '}';
    if (depth == 0) return at + 1;
  }
  return text.size();
}

std::uint32_t count_lines(std::string_view text) {
  return static_cast<std::uint32_t>(std::count(text.begin(), text.end(), '\n'));
}

/// Calls f(rest of the line) for every line that begins with `word`, after a tab perhaps.
template <class F>
void for_lines(std::string_view text, std::string_view word, F f) {
  for (std::size_t at = text.find(word); at != text.npos; at = text.find(word, at + 1)) {
    const std::size_t before = at > 0 && text[at - 1] == '\t' ? at - 1 : at;
    if (before == 0 || text[before - 1] == '\n') f(at);
  }
}

}  // namespace

Module read_module(std::string_view text) {
  Module module;
  for_lines(text, ".target sm_", [&](std::size_t at) {
    Lexer lexer(text.substr(at + 11), 0);
    const auto digits = lexer.word();
    std::uint64_t target = 0;
    literal_bits(digits.substr(0, digits.find_first_not_of("0123456789")), target);
    module.target = static_cast<int>(target);
  });
  for_lines(text, ".file", [&](std::size_t at) {
    Lexer lexer(text.substr(at + 5), 0);
    const auto number = static_cast<std::uint32_t>(lexer.number());
    module.files[number] = keep(lexer.quoted());
  });
  std::size_t counted = 0;
  std::uint32_t line = 1;
  const auto line_at = [&](std::size_t at) {
    line += count_lines(text.substr(counted, at - counted));
    counted = at;
    return line;
  };
  const auto kernel = [&](std::size_t at) {
    const std::size_t end = end_of_body(text, at);
    Lexer lexer(text.substr(at + 6), 0);
    module.kernels.push_back({std::string(lexer.word()), text.substr(at, end - at), line_at(at)});
  };
  for_lines(text, ".entry ", kernel);
  counted = 0;
  line = 1;
  for_lines(text, ".visible .entry ", [&](std::size_t at) { kernel(at + 9); });
  for_lines(text, ".weak .entry ", [&](std::size_t at) { kernel(at + 6); });
  const auto shared = [&](std::size_t at) {
    Lexer lexer(text.substr(at), 0);
    while (lexer.word() != ".shared") {
    }
    const auto d = declaration(lexer, Storage::static_shared);
    Variable v = d.variable;
    if (d.open) v.storage = Storage::dynamic_shared;
    module.variables.emplace(std::string(d.name), v);
  };
  for_lines(text, ".extern .shared ", shared);
  const std::size_t first = module.kernels.empty() ? text.size() : text.find(".entry ");
  for_lines(text.substr(0, first), ".shared ", shared);
  return module;
}

Function decode_kernel(const Module& module, const Module::Kernel& kernel) {
  return Reader(module, kernel).read();
}

}  // namespace clx::emulator::ptx
