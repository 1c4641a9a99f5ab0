#include "nn/checkpoint_metadata.h"

#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "runtime/check.h"

namespace clx::nn {
namespace {

constexpr int kVersion = 1;
constexpr int kMaxClasses = 1'000'000;

// The shortest text that reads back as the same number.
template <class Number>
std::string text_of(Number value) {
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  return {buffer, end};
}

// Reads single values; every complaint names file and key.
class Reader {
 public:
  Reader(const std::filesystem::path& path, const std::map<std::string, std::string>& metadata)
      : path_(path), metadata_(metadata) {}

  bool has(const std::string& key) const { return metadata_.contains(key); }

  std::string text(const std::string& key) const { return has(key) ? metadata_.at(key) : ""; }

  template <class Number>
  Number number(const std::string& key, Number otherwise) const {
    if (!has(key)) return otherwise;
    const std::string& value = metadata_.at(key);
    Number result{};
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), result);
    check(error == std::errc() && end == value.data() + value.size(), key, "a number");
    return result;
  }

  template <class T>
  std::vector<T> list(const std::string& key) const {
    if (!has(key)) return {};
    const auto json = nlohmann::json::parse(metadata_.at(key), nullptr, /*allow_exceptions=*/false);
    check(json.is_array(), key, "a list");
    std::vector<T> values;
    for (const auto& element : json) {
      const bool fits = std::is_same_v<T, std::string> ? element.is_string() : element.is_number();
      check(fits, key, std::is_same_v<T, std::string> ? "a list of names" : "a list of numbers");
      values.push_back(element.get<T>());
    }
    return values;
  }

  void check(bool fits, const std::string& key, const std::string& expected) const {
    CLX_CHECK_DATA(fits, "checkpoint ", path_.string(), ": expected ", expected, " as metadata '", key,
                   "', got '", metadata_.at(key), "'");
  }

 private:
  const std::filesystem::path& path_;
  const std::map<std::string, std::string>& metadata_;
};

std::string list_of(const std::vector<float>& values) {
  std::string text;
  for (const float value : values)
    text += (text.empty() ? "" : ",") + text_of(value);
  return "[" + text + "]";
}

}  // namespace

std::map<std::string, std::string> to_metadata(const Description& d) {
  std::map<std::string, std::string> metadata{{"format", "pt"},
                                              {"clx.version", std::to_string(kVersion)},
                                              {"arch", d.arch},
                                              {"width", text_of(d.resnet.width)},
                                              {"shortcut", name_of(d.resnet.shortcut)}};
  if (d.resnet.head == Head::projection) {
    metadata["head"] = "projection";
    metadata["projection"] = std::to_string(d.resnet.projection);
  } else {
    metadata["classes"] = std::to_string(d.resnet.classes);
  }
  if (!d.info.name.empty()) metadata["dataset"] = d.info.name;
  if (!d.info.class_names.empty()) metadata["class_names"] = nlohmann::json(d.info.class_names).dump();
  if (!d.info.mean.empty()) metadata["mean"] = list_of(d.info.mean);
  if (!d.info.std.empty()) metadata["std"] = list_of(d.info.std);
  return metadata;
}

Description from_metadata(const std::filesystem::path& path,
                          const std::map<std::string, std::string>& metadata) {
  const Reader read(path, metadata);
  Description d;
  if (!read.has("clx.version")) return d;  // third parties' keys may mean anything
  const int version = read.number("clx.version", 0);
  CLX_CHECK_DATA(version >= 1 && version <= kVersion, "checkpoint ", path.string(),
                 ": expected format version ", kVersion, " or lower, got ", version,
                 "; a newer program wrote it");
  d.arch = read.text("arch");
  d.resnet.classes = read.number("classes", d.resnet.classes);
  if (read.has("classes"))
    read.check(d.resnet.classes >= 2 && d.resnet.classes <= kMaxClasses, "classes",
               "a number within 2…1000000");
  d.resnet.width = read.number("width", d.resnet.width);
  if (read.has("width"))
    read.check(d.resnet.width > 0 && d.resnet.width <= 16, "width", "a number within (0,16]");
  const std::string shortcut = read.text("shortcut");
  if (read.has("shortcut")) read.check(shortcut == "A" || shortcut == "B", "shortcut", "A or B");
  d.resnet.shortcut = shortcut == "B" ? Shortcut::projection : Shortcut::subsample;
  if (read.has("head")) {
    const std::string head = read.text("head");
    read.check(head == "projection" || head == "classifier", "head", "projection or classifier");
    d.resnet.head = head == "projection" ? Head::projection : Head::classifier;
  }
  d.resnet.projection = read.number("projection", d.resnet.projection);
  if (read.has("projection"))
    read.check(d.resnet.projection >= 1 && d.resnet.projection <= kMaxClasses, "projection",
               "a number within 1…1000000");
  d.info = {read.text("dataset"), read.list<std::string>("class_names"), read.list<float>("mean"),
            read.list<float>("std")};
  const auto three = [&](const std::vector<float>& v, const char* key) {
    if (read.has(key)) read.check(v.size() == 3, key, "three numbers");
  };
  three(d.info.mean, "mean");
  three(d.info.std, "std");
  for (const float value : d.info.std)
    read.check(value > 0 && std::isfinite(value), "std", "numbers above 0");
  for (const float value : d.info.mean)
    read.check(std::isfinite(value), "mean", "finite numbers");
  return d;
}

}  // namespace clx::nn
