#include "runtime/io/safetensors.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "runtime/check.h"
#include "runtime/io/element.h"
#include "runtime/io/file.h"

namespace clx::io {
namespace {

using nlohmann::json;

constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;
constexpr const char* kMetadata = "__metadata__";
// {"name": {"shape": [1]}} is as deep as a header goes.
constexpr int kMaxDepth = 3;

struct Entry {
  std::string name;
  Element element = Element::f32;
  Shape shape;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

std::optional<Element> element_of(const std::string& dtype) {
  if (dtype == "F32") return Element::f32;
  if (dtype == "BF16") return Element::bf16;
  if (dtype == "F16") return Element::f16;
  if (dtype == "F64") return Element::f64;
  if (dtype == "I64") return Element::i64;
  if (dtype == "I32") return Element::i32;
  if (dtype == "U8") return Element::u8;
  if (dtype == "BOOL") return Element::boolean;
  return std::nullopt;
}

// Reads headers; its messages name the file and, once known, the tensor.
class HeaderReader {
 public:
  explicit HeaderReader(std::string where) : where_(std::move(where)) {}

  // Parses JSON without repeated keys; the parser itself would keep the last one.
  json parse(const std::string& text) const {
    check(text.starts_with('{'), "a header that begins with {", "something else");
    std::vector<std::set<std::string>> keys;
    const auto watch = [&](int depth, json::parse_event_t event, json& value) {
      check(depth <= kMaxDepth, "a flat header", "a deeply nested one");
      if (event == json::parse_event_t::object_start) keys.emplace_back();
      if (event == json::parse_event_t::object_end) keys.pop_back();
      if (event == json::parse_event_t::key) {
        const std::string& key = value.get_ref<const std::string&>();
        check(keys.back().insert(key).second, "each name once", "two of " + key);
      }
      return true;
    };
    try {
      return json::parse(text, watch);
    } catch (const json::exception& e) {
      throw DataError(concat("reading ", where_, ": expected a JSON header, got ", e.what()));
    }
  }

  std::map<std::string, std::string> metadata(const json& header) const {
    std::map<std::string, std::string> metadata;
    if (!header.contains(kMetadata)) return metadata;
    check(header[kMetadata].is_object(), "metadata of names and strings", header[kMetadata].type_name());
    for (const auto& [name, value] : header[kMetadata].items()) {
      check(value.is_string(), "metadata of names and strings", value.type_name());
      metadata.emplace(name, value.get<std::string>());
    }
    return metadata;
  }

  Entry entry(const std::string& name, const json& value) const {
    const HeaderReader here(concat(where_, " (", name, ")"));
    here.check(value.is_object() && value.size() == 3 && value.contains("dtype") && value.contains("shape") &&
                   value.contains("data_offsets"),
               "dtype, shape and data_offsets", "other fields");
    Entry e;
    e.name = name;
    here.check(value["dtype"].is_string(), "a dtype", value["dtype"].type_name());
    const std::string dtype = value["dtype"].get<std::string>();
    const std::optional<Element> element = element_of(dtype);
    here.check(element.has_value(), "dtype F32, BF16, F16, F64, I64, I32, U8 or BOOL", dtype);
    e.element = *element;
    here.check(value["shape"].is_array(), "a shape", value["shape"].type_name());
    std::vector<std::int64_t> dims;
    for (const json& d : value["shape"])
      dims.push_back(static_cast<std::int64_t>(here.count(d, "a shape of sizes")));
    const json& offsets = value["data_offsets"];
    here.check(offsets.is_array() && offsets.size() == 2, "two data_offsets", "another number");
    e.begin = here.count(offsets[0], "data_offsets of sizes");
    e.end = here.count(offsets[1], "data_offsets of sizes");
    e.shape = Shape(dims);
    const std::optional<std::uint64_t> bytes = array_bytes(dims, e.element);
    here.check(bytes.has_value(), "a shape that fits memory", concat(e.shape));
    here.check(e.begin <= e.end && e.end - e.begin == *bytes,
               concat(*bytes, " bytes for shape ", e.shape, " and dtype ", dtype),
               concat("data_offsets ", e.begin, " to ", e.end));
    return e;
  }

  void check(bool ok, const std::string& expected, const std::string& got) const {
    CLX_CHECK_DATA(ok, "reading ", where_, ": expected ", expected, ", got ", got);
  }

 private:
  // A whole number from 0 to 2⁶³ − 1.
  std::uint64_t count(const json& value, const char* expected) const {
    const bool ok = value.is_number_unsigned() && value.get<std::uint64_t>() <= std::uint64_t{INT64_MAX};
    check(ok, expected, ok ? "" : value.dump());
    return value.get<std::uint64_t>();
  }

  std::string where_;
};

struct Kind {
  const char* name;
  int rank;  // lower is written first
};

Kind kind_of(DType dtype) {
  switch (dtype) {
    case DType::i64:
      return {"I64", 0};
    case DType::f32:
      return {"F32", 1};
    case DType::i32:
      return {"I32", 2};
    case DType::bf16:
      return {"BF16", 3};
    case DType::u8:
      return {"U8", 4};
  }
  return {"", 5};
}

// The header with the keys in the order of the file, the length before it and the padding behind.
std::string header_of(const std::vector<std::pair<std::string, Tensor>>& ordered,
                      const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[kMetadata] = metadata;
  std::uint64_t begin = 0;
  for (const auto& [name, tensor] : ordered) {
    const std::uint64_t end = begin + tensor.bytes();
    nlohmann::ordered_json entry;
    entry["dtype"] = kind_of(tensor.dtype()).name;
    entry["shape"] = tensor.shape().dims();
    entry["data_offsets"] = {begin, end};
    header[name] = std::move(entry);
    begin = end;
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  std::string length;
  for (int i = 0; i < 8; ++i)
    length += static_cast<char>(std::uint64_t{text.size()} >> (8 * i) & 0xff);
  return length + text;
}

}  // namespace

SafeTensors read_safetensors(const std::filesystem::path& path) {
  const InputFile file(path);
  const HeaderReader reader(path.string());
  reader.check(file.size() >= 8, "a safetensors file", concat(file.size(), " bytes"));
  std::uint64_t length = 0;
  file.read_at(0, &length, sizeof length);
  reader.check(length <= kMaxHeaderBytes, "a safetensors file with a header of at most 100 MB",
               concat(length, " bytes"));
  reader.check(length <= file.size() - 8, concat("a header of ", length, " bytes"),
               concat("a file of ", file.size()));
  std::string text(length, '\0');
  file.read_at(8, text.data(), text.size());
  const json header = reader.parse(text);

  SafeTensors result;
  result.metadata = reader.metadata(header);
  std::vector<Entry> entries;
  for (const auto& [name, value] : header.items())
    if (name != kMetadata) entries.push_back(reader.entry(name, value));
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::uint64_t at = 0;
  for (const Entry& e : entries) {
    reader.check(e.begin == at, concat("data of ", e.name, " at offset ", at),
                 concat(e.begin, e.begin < at ? " (an overlap)" : " (a gap)"));
    at = e.end;
  }
  const std::uint64_t data = 8 + length;
  reader.check(at == file.size() - data, concat(at, " bytes of data"), concat(file.size() - data));
  for (const Entry& e : entries) {
    const auto read = [&](void* to, std::size_t bytes) { file.read_at(data + e.begin, to, bytes); };
    result.tensors.emplace(e.name, read_elements(e.element, e.shape, read));
  }
  return result;
}

void write_safetensors(const std::filesystem::path& path,
                       const std::map<std::string, Tensor>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  for (const auto& [name, tensor] : tensors) {
    CLX_CHECK(tensor.defined(), "writing ", path.string(), ": expected a tensor under ", name, ", got none");
    CLX_CHECK(name != kMetadata, "writing ", path.string(), ": expected a tensor's name, got the reserved ",
              name);
  }
  std::vector<std::pair<std::string, Tensor>> ordered(tensors.begin(), tensors.end());
  std::stable_sort(ordered.begin(), ordered.end(), [](const auto& a, const auto& b) {
    return kind_of(a.second.dtype()).rank < kind_of(b.second.dtype()).rank;
  });
  std::string header;
  try {
    header = header_of(ordered, metadata);
  } catch (const json::exception&) {
    throw Error(concat("writing ", path.string(), ": expected names and metadata in UTF-8, got other bytes"));
  }
  CLX_CHECK(header.size() - 8 <= kMaxHeaderBytes, "writing ", path.string(),
            ": expected a header of at most 100 MB, got ", header.size() - 8, " bytes");
  AtomicFile file(path);
  file.write(header);
  for (const auto& [name, tensor] : ordered) {
    const Tensor host = tensor.to(kCpu);
    file.write(host.view().data, host.bytes());
  }
  file.commit();
}

}  // namespace clx::io
