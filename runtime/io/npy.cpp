#include "runtime/io/npy.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <string_view>

#include "runtime/check.h"
#include "runtime/io/element.h"
#include "runtime/io/file.h"

namespace clx::io {
namespace {

constexpr std::string_view kMagic("\x93NUMPY", 6);
constexpr std::size_t kMaxAxes = 64;

struct Header {
  std::string descr;
  bool fortran_order = false;
  std::vector<std::int64_t> shape;
};

// The header is a Python dict with exactly the keys descr, fortran_order and shape.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  Header parse() {
    Header header;
    bool descr = false, order = false, shape = false;
    expect('{');
    while (!accept('}')) {
      const std::string key = quoted();
      expect(':');
      bool& seen = key == "descr" ? descr : key == "fortran_order" ? order : shape;
      check((key == "descr" || key == "fortran_order" || key == "shape") && !seen,
            "an unknown or repeated key");
      seen = true;
      if (key == "descr")
        header.descr = dtype();
      else if (key == "fortran_order")
        header.fortran_order = boolean();
      else
        header.shape = tuple();
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_spaces();
    check(at_ == text_.size(), "text after the dict");
    check(descr && order && shape, "no descr, fortran_order or shape");
    return header;
  }

 private:
  void check(bool ok, const char* found) const {
    CLX_CHECK_DATA(ok, "reading ", name_, ": expected a .npy header, got ", found, " at character ", at_);
  }
  void skip_spaces() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos)
      ++at_;
  }
  bool accept(char c) {
    skip_spaces();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) { check(accept(c), "something else"); }

  std::string quoted() {
    skip_spaces();
    check(at_ < text_.size() && (text_[at_] == '\'' || text_[at_] == '"'), "an unquoted name");
    const std::size_t end = text_.find(text_[at_], at_ + 1);
    check(end != std::string_view::npos, "an open quote");
    const std::string value(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return value;
  }
  std::string dtype() {
    skip_spaces();
    CLX_CHECK_DATA(at_ == text_.size() || text_[at_] != '[', "reading ", name_,
                   ": expected an array of numbers, got a structured dtype");
    return quoted();
  }
  bool boolean() {
    skip_spaces();
    const bool value = text_.substr(at_, 4) == "True";
    check(value || text_.substr(at_, 5) == "False", "neither True nor False");
    at_ += value ? 4 : 5;
    return value;
  }
  std::vector<std::int64_t> tuple() {
    std::vector<std::int64_t> values;
    expect('(');
    while (!accept(')')) {
      skip_spaces();
      std::int64_t value = 0;
      const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
      check(error == std::errc() && value >= 0, "a shape that is not a tuple of sizes");
      at_ = static_cast<std::size_t>(end - text_.data());
      values.push_back(value);
      check(values.size() <= kMaxAxes, "more than 64 axes");
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return values;
  }

  std::string_view text_;
  const std::string& name_;
  std::size_t at_ = 0;
};

std::optional<Element> element_of(std::string_view descr) {
  if (descr == "<f4") return Element::f32;
  if (descr == "<f8") return Element::f64;
  if (descr == "<f2") return Element::f16;
  if (descr == "<i4") return Element::i32;
  if (descr == "<i8") return Element::i64;
  if (descr == "|u1") return Element::u8;
  if (descr == "|b1") return Element::boolean;
  return std::nullopt;
}

std::string_view descr_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
    case DType::bf16:
      return "<f4";
    case DType::u8:
      return "|u1";
    case DType::i32:
      return "<i4";
    case DType::i64:
      return "<i8";
  }
  return "";
}

std::string header_of(const Tensor& x) {
  std::string dict = concat("{'descr': '", descr_of(x.dtype()), "', 'fortran_order': False, 'shape': (");
  for (int i = 0; i < x.rank(); ++i)
    dict += concat(x.dim(i), i + 1 < x.rank() ? ", " : x.rank() == 1 ? "," : "");
  dict += "), }";
  // Data begin at a multiple of 64 bytes; the header ends with a newline.
  constexpr std::size_t kFront = 10;
  dict.append(63 - (kFront + dict.size()) % 64, ' ');
  dict += '\n';
  std::string header(kMagic);
  header += {'\x01', '\x00', static_cast<char>(dict.size() & 0xff), static_cast<char>(dict.size() >> 8)};
  return header + dict;
}

}  // namespace

Tensor decode_npy(std::span<const std::uint8_t> bytes, const std::string& name) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  CLX_CHECK_DATA(text.substr(0, 6) == kMagic, "reading ", name,
                 ": expected a .npy array, got something else");
  CLX_CHECK_DATA(text.size() >= 12, "reading ", name, ": expected a .npy header, got a truncated file");
  const int major = bytes[6];
  CLX_CHECK_DATA(major >= 1 && major <= 3, "reading ", name, ": expected .npy version 1 to 3, got ", major);
  const std::size_t front = major == 1 ? 10 : 12;
  std::size_t length = bytes[8] | std::size_t{bytes[9]} << 8;
  if (major > 1) length |= std::size_t{bytes[10]} << 16 | std::size_t{bytes[11]} << 24;
  CLX_CHECK_DATA(length <= text.size() - front, "reading ", name, ": expected a header of ", length,
                 " bytes, got a file of ", text.size());

  const Header header = HeaderParser(text.substr(front, length), name).parse();
  const std::optional<Element> element = element_of(header.descr);
  CLX_CHECK_DATA(
      element, "reading ", name,
      ": expected float16, float32, float64, int32, int64, uint8 or bool (little-endian), got dtype ",
      header.descr);
  const Shape shape(header.shape);
  const auto longer_axes =
      std::count_if(header.shape.begin(), header.shape.end(), [](auto d) { return d > 1; });
  CLX_CHECK_DATA(!header.fortran_order || longer_axes <= 1, "reading ", name,
                 ": expected C order, got Fortran order; save numpy.ascontiguousarray(array)");
  const std::optional<std::uint64_t> expected = array_bytes(header.shape, *element);
  CLX_CHECK_DATA(expected, "reading ", name, ": shape ", shape, " is too large");
  const std::size_t data = front + length;
  CLX_CHECK_DATA(*expected == bytes.size() - data, "reading ", name, ": expected ", *expected,
                 " bytes of data for shape ", shape, " and dtype ", header.descr, ", got ",
                 bytes.size() - data);
  return read_elements(*element, shape,
                       [&](void* to, std::size_t n) { std::memcpy(to, bytes.data() + data, n); });
}

Tensor read_npy(const std::filesystem::path& path) {
  return decode_npy(read_file(path), path.string());
}

std::vector<std::uint8_t> encode_npy(const Tensor& x) {
  CLX_CHECK(x.defined(), "write_npy: expected a tensor, got none");
  CLX_CHECK(x.rank() <= 32, "write_npy: expected at most 32 axes, got ", x.rank());
  const std::string header = header_of(x);
  const Tensor host = x.to(kCpu);
  const std::size_t size = static_cast<std::size_t>(x.size());
  const std::size_t bytes = x.dtype() == DType::bf16 ? size * sizeof(float) : x.bytes();
  std::vector<std::uint8_t> file(header.size() + bytes);
  std::memcpy(file.data(), header.data(), header.size());
  if (bytes == 0) return file;
  std::uint8_t* data = file.data() + header.size();
  if (x.dtype() == DType::bf16) {
    const bf16* from = host.data<bf16>();
    for (std::size_t i = 0; i < size; ++i) {
      const float value = static_cast<float>(from[i]);
      std::memcpy(data + i * sizeof value, &value, sizeof value);
    }
  } else {
    std::memcpy(data, host.view().data, bytes);
  }
  return file;
}

void write_npy(const std::filesystem::path& path, const Tensor& x) {
  const std::vector<std::uint8_t> bytes = encode_npy(x);
  write_file(path, bytes.data(), bytes.size());
}

}  // namespace clx::io
