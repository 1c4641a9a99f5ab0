#include <nlohmann/json.hpp>

#include "nn/features.h"
#include "nn/probe.h"
#include "runtime/check.h"
#include "runtime/io/safetensors.h"

namespace clx::nn {
namespace {

constexpr const char* kKind = "linear probe";

ProbeMode mode_named(const std::string& name, const std::string& where) {
  for (const ProbeMode mode : {ProbeMode::full_batch, ProbeMode::minibatch, ProbeMode::converged})
    if (name == name_of(mode)) return mode;
  throw DataError(
      concat(where, "expected full-batch, minibatch or converged as metadata 'mode', got '", name, "'"));
}

std::vector<std::string> list_of_names(const std::string& text, const std::string& where) {
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  std::vector<std::string> names;
  bool fits = json.is_array();
  if (fits)
    for (const auto& name : json) {
      fits = fits && name.is_string();
      if (fits) names.push_back(name.get<std::string>());
    }
  CLX_CHECK_DATA(fits, where, "expected a list of names as metadata 'class_names', got '", text, "'");
  return names;
}

void read_metadata(const std::map<std::string, std::string>& metadata,
                   const std::string& where,
                   Probe* probe) {
  const auto text = [&](const std::string& key) {
    const auto found = metadata.find(key);
    return found == metadata.end() ? std::string() : found->second;
  };
  CLX_CHECK_DATA(text("kind") == kKind, where, "expected a file of clx-probe, got ",
                 text("kind").empty() ? "a checkpoint" : "'" + text("kind") + "'");
  probe->mode = mode_named(text("mode"), where);
  CLX_CHECK_DATA(text("normalized") == "true" || text("normalized") == "false", where,
                 "expected true or false as metadata 'normalized', got '", text("normalized"), "'");
  probe->normalized = text("normalized") == "true";
  probe->encoder = text("encoder");
  if (!text("class_names").empty()) probe->class_names = list_of_names(text("class_names"), where);
}

}  // namespace

void save_probe(const std::filesystem::path& path, const Probe& probe) {
  std::map<std::string, std::string> metadata{{"format", "pt"},
                                              {"clx.version", "1"},
                                              {"kind", kKind},
                                              {"encoder", probe.encoder},
                                              {"mode", name_of(probe.mode)},
                                              {"normalized", probe.normalized ? "true" : "false"}};
  if (!probe.class_names.empty()) metadata["class_names"] = nlohmann::json(probe.class_names).dump();
  io::write_safetensors(path, {{"fc.weight", probe.weight}, {"fc.bias", probe.bias}}, metadata);
}

Probe load_probe(const std::filesystem::path& path, Model& encoder) {
  const std::string where = concat("probe ", path.string(), ": ");
  const io::SafeTensors file = io::read_safetensors(path);
  Probe probe;
  if (file.metadata.contains("clx.version")) read_metadata(file.metadata, where, &probe);
  CLX_CHECK_DATA(
      file.tensors.size() == 2 && file.tensors.contains("fc.weight") && file.tensors.contains("fc.bias"),
      where, "expected the tensors fc.weight and fc.bias, got ", file.tensors.size(), " tensors",
      file.tensors.empty() ? "" : ", the first " + file.tensors.begin()->first);
  probe.weight = file.tensors.at("fc.weight");
  probe.bias = file.tensors.at("fc.bias");
  CLX_CHECK_DATA(probe.weight.dtype() == DType::f32 && probe.bias.dtype() == DType::f32 &&
                     probe.weight.rank() == 2 && probe.weight.dim(0) >= 2 &&
                     probe.bias.shape() == Shape{probe.weight.dim(0)},
                 where, "expected fc.weight (K,D) and fc.bias (K) of f32 with K ≥ 2, got ",
                 probe.weight.shape(), " and ", probe.bias.shape());
  const std::string hash = encoder_hash(encoder);
  CLX_CHECK_DATA(probe.encoder.empty() || probe.encoder == hash, where, "expected a probe of this encoder (",
                 hash, "), got one of another (", probe.encoder, "); clx-probe fits one");
  CLX_CHECK_DATA(probe.weight.dim(1) == encoder.feature_size(), where, "expected weights for ",
                 encoder.feature_size(), " features, got ", probe.weight.dim(1));
  return probe;
}

}  // namespace clx::nn
