#include "apps/train/training_state.h"

#include <fmt/format.h>
#include <map>
#include <nlohmann/json.hpp>
#include <span>

#include "runtime/check.h"
#include "runtime/io/checksum.h"
#include "runtime/io/safetensors.h"

namespace clx::app {
namespace {

constexpr const char* kKind = "training state 1";

std::uint32_t crc_of(std::uint32_t before, const void* bytes, std::size_t count) {
  return io::crc32({static_cast<const std::uint8_t*>(bytes), count}, before);
}

// Of everything but itself.
std::string checksum(const std::map<std::string, Tensor>& tensors, const std::string& description) {
  std::uint32_t crc = crc_of(0, description.data(), description.size());
  for (const auto& [name, tensor] : tensors) {
    crc = crc_of(crc, name.data(), name.size());
    crc = crc_of(crc, tensor.view().data, tensor.bytes());
  }
  return fmt::format("{:08x}", crc);
}

}  // namespace

std::string identity_of(const data::Dataset& train) {
  const std::uint32_t labels = crc_of(0, train.labels.data(), train.labels.size() * sizeof(train.labels[0]));
  return fmt::format("{} images of {}×{} in {} classes, labels {:08x}", train.size(), train.height(),
                     train.width(), train.class_names.size(), labels);
}

void save_state(const std::filesystem::path& file,
                nn::Model& model,
                const nn::Optimizer& optimizer,
                const Step& step,
                const Position& position,
                const RunIdentity& identity) {
  std::map<std::string, Tensor> tensors{{"step", step.state().to(kCpu)}};
  model.visit([&](const nn::Entry& entry) { tensors["model." + entry.name] = entry.tensor->to(kCpu); });
  for (const auto& [name, tensor] : optimizer.state())
    tensors["optimizer." + name] = tensor.to(kCpu);
  const nlohmann::ordered_json description{
      {"epoch", position.epoch},         {"batch", position.batch},       {"best", position.best},
      {"any_best", position.any_best},   {"replaced", position.replaced}, {"model", identity.model},
      {"optimizer", identity.optimizer}, {"data", identity.data},         {"seed", identity.seed}};
  const std::string text = description.dump();
  io::write_safetensors(file, tensors,
                        {{"kind", kKind}, {"description", text}, {"checksum", checksum(tensors, text)}});
}

SavedState::SavedState(const std::filesystem::path& file) : file_(file) {
  io::SafeTensors contents = io::read_safetensors(file);
  const auto& metadata = contents.metadata;
  CLX_CHECK_DATA(metadata.contains("kind") && metadata.at("kind") == kKind &&
                     metadata.contains("description") && metadata.contains("checksum"),
                 "reading ", file.string(),
                 ": expected the state of a training run, got a file of another kind");
  const std::string& text = metadata.at("description");
  CLX_CHECK_DATA(checksum(contents.tensors, text) == metadata.at("checksum"), "reading ", file.string(),
                 ": the file is damaged: its checksum is not that of its contents");
  try {
    const auto d = nlohmann::json::parse(text);
    position_ = {d.at("epoch"), d.at("batch"), d.at("best"), d.at("any_best"), d.at("replaced")};
    identity_ = {d.at("model"), d.at("optimizer"), d.at("data"), d.at("seed")};
  } catch (const nlohmann::json::exception& error) {
    throw DataError(concat("reading ", file.string(), ": ", error.what()));
  }
  tensors_ = std::move(contents.tensors);
}

void SavedState::require(const RunIdentity& identity) const {
  const auto check = [&](const char* what, const auto& got, const auto& expected) {
    CLX_CHECK_DATA(got == expected, "resume: ", file_.string(), " is of another ", what, ": expected ",
                   expected, ", got ", got);
  };
  check("model", identity_.model, identity.model);
  check("optimizer", identity_.optimizer, identity.optimizer);
  check("training set", identity_.data, identity.data);
  check("seed", identity_.seed, identity.seed);
}

std::map<std::string, Tensor> SavedState::part(const std::string& prefix) const {
  std::map<std::string, Tensor> found;
  for (const auto& [name, tensor] : tensors_)
    if (name.starts_with(prefix)) found.emplace(name.substr(prefix.size()), tensor);
  return found;
}

void SavedState::restore(nn::Model& model) const {
  const std::map<std::string, Tensor> saved = part("model.");
  model.visit([&](const nn::Entry& entry) {
    const auto found = saved.find(entry.name);
    CLX_CHECK_DATA(found != saved.end() && found->second.shape() == entry.tensor->shape() &&
                       found->second.dtype() == entry.tensor->dtype(),
                   "reading ", file_.string(), ": expected ", entry.name, " of shape ", entry.tensor->shape(),
                   ", got ", found == saved.end() ? "none" : concat("shape ", found->second.shape()));
    *entry.tensor = found->second.to(entry.tensor->device()).clone();
    if (entry.role == nn::Role::parameter) entry.tensor->require_grad();
  });
}

void SavedState::restore(nn::Optimizer& optimizer) const {
  optimizer.load_state(part("optimizer."));
}

void SavedState::restore(Step& step) const {
  const auto found = tensors_.find("step");
  CLX_CHECK_DATA(found != tensors_.end() && found->second.shape() == step.state().shape(), "reading ",
                 file_.string(), ": expected a step of ", step.state().size(), " bytes");
  step.state() = found->second.to(step.device()).clone();
}

}  // namespace clx::app
