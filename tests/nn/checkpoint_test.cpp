// Checkpoints: what comes back, what third parties' names may be, and what is refused.
#include "nn/checkpoint.h"

#include <algorithm>
#include <fstream>
#include <gtest/gtest.h>

#include "runtime/autograd.h"
#include "runtime/check.h"
#include "runtime/io/safetensors.h"
#include "tests/nn/closed_form.h"
#include "tests/nn/test_data.h"

namespace clx::nn {
namespace {

using tests::TestFolder;
using tests::text_of_error;

const ResnetOptions kSmall{.classes = 4, .width = 0.25};

// A small net whose running statistics are not the initial ones.
std::unique_ptr<Model> small_net(const ResnetOptions& options = kSmall) {
  auto model = make_model("resnet20", options);
  model->train(true);
  const NoGrad no_grad;
  model->forward(tests::images(4, 8));
  model->train(false);
  return model;
}

std::unique_ptr<Model> small_encoder() {
  return make_model("resnet20", {.width = 0.25, .head = Head::projection, .projection = 6});
}

std::vector<float> scores_of(Model& model) {
  const NoGrad no_grad;
  return model.forward(tests::images(3, 8)).to_host();
}

const data::DatasetInfo kInfo{
    "shapes", {"a \"quoted\" name", "b, c", "ö", ""}, {0.1f, 0.2f, 0.3f}, {0.4f, 0.5f, 0.6f}};

TEST(Checkpoint, brings_back_the_model_and_what_it_was_trained_on) {
  const TestFolder folder;
  const auto model = small_net({.classes = 4, .width = 0.25, .shortcut = Shortcut::projection});
  save_checkpoint(folder / "a.safetensors", *model, kInfo);
  const auto loaded = load_model(folder / "a.safetensors");
  EXPECT_EQ(loaded->description(), model->description());
  EXPECT_EQ(scores_of(*loaded), scores_of(*model));
  EXPECT_EQ(loaded->trained_on().name, kInfo.name);
  EXPECT_EQ(loaded->trained_on().class_names, kInfo.class_names);
  EXPECT_EQ(loaded->trained_on().mean, kInfo.mean);
  EXPECT_EQ(loaded->trained_on().std, kInfo.std);
  EXPECT_FALSE(loaded->training());
  for (const Tensor& parameter : loaded->parameters())
    EXPECT_TRUE(parameter.requires_grad());
}

TEST(Checkpoint, keeps_filters_in_pytorchs_layout) {
  const TestFolder folder;
  const auto model = small_net();
  save_checkpoint(folder / "a.safetensors", *model, {});
  const auto file = io::read_safetensors(folder / "a.safetensors");
  const Tensor& stored = file.tensors.at("layer1.0.conv1.weight");
  EXPECT_EQ(stored.shape(), (Shape{4, 4, 3, 3}));
  EXPECT_EQ(file.tensors.at("conv1.weight").shape(), (Shape{4, 3, 3, 3}));
  model->visit([&](const Entry& e) {
    if (e.name != "conv1.weight") return;
    const auto ours = tests::in_pytorch_order(*e.tensor, true);
    const auto theirs = file.tensors.at(e.name).to_host();
    EXPECT_TRUE(std::equal(ours.begin(), ours.end(), theirs.begin(), theirs.end()));
  });
  EXPECT_EQ(file.tensors.at("bn1.num_batches_tracked").to_host<std::int64_t>(), std::vector<std::int64_t>{1});
  EXPECT_EQ(file.tensors.at("bn1.num_batches_tracked").rank(), 0);
}

// Writes the small net's tensors after `change` has had its way with them.
template <class Change>
void write_changed(const std::filesystem::path& path, const Change& change) {
  const auto model = small_net();
  save_checkpoint(path, *model, {});
  auto file = io::read_safetensors(path);
  change(&file);
  io::write_safetensors(path, file.tensors, file.metadata);
}

TEST(Checkpoint, reads_third_parties_names) {
  const TestFolder folder;
  write_changed(folder / "a.safetensors", [](io::SafeTensors* file) {
    file->metadata = {{"source", "elsewhere"}};
    std::map<std::string, Tensor> renamed;
    for (const auto& [name, tensor] : file->tensors) {
      if (name.ends_with("num_batches_tracked")) continue;
      if (name.starts_with("linear."))
        renamed["module.fc" + name.substr(6)] = tensor;
      else
        renamed["module.encoder." + name] = tensor;
    }
    file->tensors = renamed;
  });
  const auto loaded =
      load_model(folder / "a.safetensors", {.arch = "resnet20", .resnet = kSmall, .info = kInfo});
  EXPECT_EQ(scores_of(*loaded), scores_of(*small_net()));
  EXPECT_EQ(loaded->trained_on().mean, kInfo.mean);
}

std::vector<float> projections_of(Model& model) {
  const NoGrad no_grad;
  return model.projection(model.features(tests::images(3, 8))).to_host();
}

TEST(Checkpoint, brings_back_a_projection_head) {
  const TestFolder folder;
  const auto model = small_encoder();
  save_checkpoint(folder / "a.safetensors", *model, kInfo);
  const auto file = io::read_safetensors(folder / "a.safetensors");
  EXPECT_EQ(file.metadata.at("head"), "projection");
  EXPECT_EQ(file.metadata.at("projection"), "6");
  EXPECT_FALSE(file.metadata.contains("classes"));
  EXPECT_EQ(file.tensors.at("projection.2.weight").shape(), (Shape{6, 16}));
  const auto loaded = load_model(folder / "a.safetensors");
  EXPECT_EQ(loaded->description(), model->description());
  EXPECT_EQ(loaded->head_kind(), Head::projection);
  EXPECT_EQ(projections_of(*loaded), projections_of(*model));
  EXPECT_EQ(loaded->trained_on().class_names, kInfo.class_names);
}

TEST(Checkpoint, recognises_third_parties_projection_heads) {
  const TestFolder folder;
  const auto model = small_encoder();
  save_checkpoint(folder / "a.safetensors", *model, {});
  auto file = io::read_safetensors(folder / "a.safetensors");
  std::map<std::string, Tensor> renamed;
  for (const auto& [name, tensor] : file.tensors)
    renamed[(name.starts_with("projection") ? "module." : "module.backbone.") + name] = tensor;
  io::write_safetensors(folder / "a.safetensors", renamed, {});
  const auto loaded = load_model(folder / "a.safetensors", {.arch = "resnet20", .resnet = kSmall});
  EXPECT_EQ(projections_of(*loaded), projections_of(*model));
}

TEST(Checkpoint, reads_bf16_weights) {
  const TestFolder folder;
  write_changed(folder / "a.safetensors", [](io::SafeTensors* file) {
    std::vector<bf16> rounded;
    for (const float v : file->tensors.at("conv1.weight").to_host())
      rounded.emplace_back(v);
    file->tensors["conv1.weight"] = Tensor::from_host({4, 3, 3, 3}, rounded);
  });
  EXPECT_EQ(load_model(folder / "a.safetensors")->parameters()[0].dtype(), DType::f32);
}

std::string refusal(const std::filesystem::path& path, const LoadOptions& options = {}) {
  return text_of_error<DataError>([&] { load_model(path, options); });
}
void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << text;
}

TEST(Checkpoint, names_the_tensor_it_refuses) {
  const TestFolder folder;
  const auto path = folder / "a.safetensors";
  write_changed(path, [](io::SafeTensors* file) { file->tensors.erase("layer2.1.bn2.running_var"); });
  expect_contains(refusal(path),
                  "tensor layer2.1.bn2.running_var of resnet20, 4 classes, width 0.25 is missing");
  write_changed(path,
                [](io::SafeTensors* file) { file->tensors["projection.0.weight"] = Tensor::zeros({2}); });
  expect_contains(refusal(path), "has no tensor projection.0.weight");
  write_changed(path, [](io::SafeTensors* file) { file->tensors["linear.weight"] = Tensor::zeros({5, 16}); });
  expect_contains(refusal(path),
                  "expected linear.weight of shape (4,16) for resnet20, 4 classes, width 0.25, got (5,16)");
  write_changed(path, [](io::SafeTensors* file) { file->tensors["fc.bias"] = Tensor::zeros({4}); });
  expect_contains(refusal(path), "tensor fc.bias is there twice, the second time as linear.bias");
  write_changed(path, [](io::SafeTensors* file) {
    file->tensors["bn1.weight"] = Tensor::from_host({4}, std::vector<std::int64_t>{1, 2, 3, 4});
  });
  expect_contains(refusal(path), "expected bn1.weight of f32, got i64");
  EXPECT_THROW(load_model(folder / "none.safetensors"), DataError);
}

TEST(Checkpoint, leaves_the_model_alone_when_it_refuses) {
  const TestFolder folder;
  const auto path = folder / "a.safetensors";
  write_changed(path, [](io::SafeTensors* file) { file->tensors.erase("linear.bias"); });
  const auto model = make_model("resnet20", kSmall, 5);
  const auto before = scores_of(*model);
  EXPECT_THROW(load_weights(path, *model), DataError);
  EXPECT_EQ(scores_of(*model), before);
}

TEST(Checkpoint, says_what_a_file_of_another_architecture_looks_like) {
  const TestFolder folder;
  const auto path = folder / "a.safetensors";
  save_checkpoint(path, *small_net(), {});
  const auto other = make_model("resnet32", kSmall, std::nullopt);
  const std::string text = text_of_error<DataError>([&] { load_weights(path, *other); });
  expect_contains(text, "tensor layer1.3.conv1.weight of resnet32, 4 classes, width 0.25 is missing");
  expect_contains(text, "the file looks like resnet20 with shortcut A");
  expect_contains(refusal(path, {.arch = "resnet50"}), "expected resnet50, got resnet20");
}

TEST(Checkpoint, asks_for_the_architecture_that_a_file_does_not_name) {
  const TestFolder folder;
  const auto path = folder / "a.safetensors";
  write_changed(path, [](io::SafeTensors* file) { file->metadata.clear(); });
  expect_contains(refusal(path), "does not say its architecture");
  expect_contains(refusal(path), "the file looks like resnet20 with shortcut A");
  EXPECT_THROW(load_model(path, {.arch = "resnet21"}), Error);
}

TEST(Checkpoint, refuses_metadata_it_cannot_read) {
  const TestFolder folder;
  const auto path = folder / "a.safetensors";
  const auto with = [&](const std::string& key, const std::string& value) {
    write_changed(path, [&](io::SafeTensors* file) { file->metadata[key] = value; });
    return refusal(path);
  };
  expect_contains(with("clx.version", "2"), "expected format version 1 or lower, got 2");
  expect_contains(with("classes", "ten"), "expected a number as metadata 'classes', got 'ten'");
  expect_contains(with("mean", "[0.5]"), "expected three numbers as metadata 'mean'");
  expect_contains(with("std", "[1,1,0]"), "expected numbers above 0 as metadata 'std'");
  expect_contains(with("class_names", "{"), "expected a list as metadata 'class_names'");
  expect_contains(with("shortcut", "C"), "expected A or B as metadata 'shortcut'");
}

TEST(Checkpoint, keeps_the_earlier_file_when_it_cannot_write) {
  const TestFolder folder;
  EXPECT_THROW(save_checkpoint(folder / "missing/a.safetensors", *small_net(), {}), Error);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace clx::nn
