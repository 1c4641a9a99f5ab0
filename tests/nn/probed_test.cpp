// Encoder and probe as one classifier, and the file that holds the probe.
#include "nn/models/probed.h"

#include <cmath>
#include <gtest/gtest.h>

#include "nn/checkpoint.h"
#include "nn/data/shapes.h"
#include "nn/features.h"
#include "nn/models/resnet.h"
#include "runtime/autograd.h"
#include "runtime/check.h"
#include "runtime/io/safetensors.h"
#include "runtime/ops/softmax.h"
#include "tests/nn/closed_form.h"
#include "tests/nn/test_data.h"

namespace clx::nn {
namespace {

using tests::images;
using tests::TestFolder;
using tests::text_of_error;

const ResnetOptions kEncoder{.width = 0.25, .head = Head::projection, .projection = 6};

std::unique_ptr<Model> encoder(std::uint64_t seed = 0, Precision precision = Precision::f32) {
  auto model = make_model("resnet20", kEncoder, seed, kCpu, precision);
  model->set_trained_on({"shapes", {"a", "b", "c", "d"}, {0.1f, 0.2f, 0.3f}, {0.4f, 0.5f, 0.6f}});
  return model;
}

Probe probe(Model& model) {
  Probe p{Tensor({4, 16}), Tensor({4})};
  for (int k = 0; k < 4 * 16; ++k)
    p.weight.mutable_data()[k] = static_cast<float>(tests::value(k, 50));
  for (int k = 0; k < 4; ++k)
    p.bias.mutable_data()[k] = static_cast<float>(tests::value(k, 51));
  p.encoder = encoder_hash(model);
  p.class_names = {"a", "b", "c", "d"};
  return p;
}

TEST(Probed, scores_as_its_parts_do_by_hand_after_saving_and_loading) {
  const TestFolder folder;
  const auto model = encoder();
  const Probe made = probe(*model);
  save_checkpoint(folder / "final.safetensors", *model, model->trained_on());
  save_probe(folder / "linear_classifier.safetensors", made);

  auto loaded = load_model(folder / "final.safetensors");
  const Probe read = load_probe(folder / "linear_classifier.safetensors", *loaded);
  EXPECT_EQ(read.class_names, made.class_names);
  EXPECT_EQ(read.mode, made.mode);
  const NoGrad no_grad;
  const auto f = model->features(images(3, 16)).to_host();
  for (const bool normalize : {true, false}) {
    const auto whole = with_probe(load_model(folder / "final.safetensors"), read,
                                  normalize ? std::nullopt : std::optional(false));
    const auto scores = whole->forward(images(3, 16)).to_host();
    for (std::size_t n = 0; n < 3; ++n) {
      double length = 0;
      for (std::size_t d = 0; d < 16; ++d)
        length += static_cast<double>(f[n * 16 + d]) * static_cast<double>(f[n * 16 + d]);
      length = normalize ? std::sqrt(length) : 1;
      for (std::size_t k = 0; k < 4; ++k) {
        double score = static_cast<double>(made.bias.data()[k]);
        for (std::size_t d = 0; d < 16; ++d)
          score += static_cast<double>(made.weight.data()[k * 16 + d] * f[n * 16 + d]) / length;
        EXPECT_NEAR(scores[n * 4 + k], score, 2e-6 * (1 + std::fabs(score))) << normalize << n << k;
      }
    }
    EXPECT_EQ(whole->classes(), 4);
    EXPECT_EQ(whole->trained_on().mean, model->trained_on().mean);
    EXPECT_EQ(whole->description(),
              std::string("resnet20, projection to 6, width 0.25, full-batch probe on ") +
                  (normalize ? "normalised features" : "raw features"));
  }
}

// Pooling, normalisation and a linear layer follow the last block: with z = f/‖f‖,
//   ∂score/∂activation[·,·,d] = (w_d − z_d·(w·z))/(‖f‖·h·w).
TEST(Probed, passes_gradients_through_the_normalisation) {
  const auto model = encoder();
  const Probe p = probe(*model);
  const auto whole = with_probe(encoder(), p);
  const Activations tapped = whole->forward_with(images(2, 16), whole->default_layer());
  ASSERT_EQ(tapped.activation.shape(), (Shape{2, 4, 4, 16}));
  const std::vector<std::int32_t> classes{1, 3};
  const auto gradient =
      grad(pick(tapped.logits, Tensor::from_host({2}, classes)), {tapped.activation})[0].to_host();
  const auto a = tapped.activation.to_host();
  for (std::size_t n = 0; n < 2; ++n) {
    std::vector<double> f(16), w(16);
    double length = 0, along = 0, total = 0;
    for (std::size_t i = 0; i < 16 * 16; ++i)
      f[i % 16] += static_cast<double>(a[n * 256 + i]) / 16;
    for (std::size_t d = 0; d < 16; ++d) {
      w[d] = static_cast<double>(p.weight.data()[static_cast<std::size_t>(classes[n]) * 16 + d]);
      length += f[d] * f[d];
      along += w[d] * f[d];
    }
    length = std::sqrt(length);
    for (std::size_t i = 0; i < 16 * 16; ++i) {
      const std::size_t d = i % 16;
      const double expected = (w[d] - f[d] * along / (length * length)) / (length * 16);
      EXPECT_NEAR(gradient[n * 256 + i], expected, 1e-6 * (1 + std::fabs(expected)));
      total += static_cast<double>(gradient[n * 256 + i]) * static_cast<double>(a[n * 256 + i]);
    }
    // No score of a direction changes with the length: the raw map sums to zero.
    EXPECT_NEAR(total, 0, 1e-4);
  }
}

TEST(Probed, has_the_encoders_layers_and_its_own_tensors) {
  const auto model = encoder();
  const auto whole = with_probe(encoder(), probe(*model));
  EXPECT_EQ(whole->layers(), model->layers());
  EXPECT_EQ(whole->head_kind(), Head::classifier);
  EXPECT_THROW(whole->check_layer("layer9"), Error);
  std::vector<std::string> names;
  whole->visit([&](const Entry& e) { names.push_back(e.name); });
  EXPECT_EQ(names.front(), "encoder.conv1.weight");
  EXPECT_EQ(names.back(), "fc.bias");
}

TEST(Probed, replaces_the_head_of_a_classifier) {
  auto classifier = make_model("resnet20", {.classes = 9, .width = 0.25});
  const Probe p = probe(*classifier);
  EXPECT_EQ(encoder_hash(*classifier), encoder_hash(*encoder())) << "the hash depends on the head";
  const auto whole = with_probe(std::move(classifier), p);
  const NoGrad no_grad;
  EXPECT_EQ(whole->forward(images(2, 16)).shape(), (Shape{2, 4}));
}

TEST(EncoderHash, tells_encoders_apart_and_nothing_else) {
  const std::string hash = encoder_hash(*encoder());
  EXPECT_EQ(hash.size(), 16u);
  EXPECT_EQ(encoder_hash(*encoder()), hash);
  EXPECT_EQ(encoder_hash(*encoder(0, Precision::bf16)), hash);
  EXPECT_NE(encoder_hash(*encoder(1)), hash);
  const auto other = encoder();
  other->visit([](const Entry& e) {
    if (e.name == "layer2.1.bn2.running_var") e.tensor->mutable_data()[3] += 1e-6f;
  });
  EXPECT_NE(encoder_hash(*other), hash) << "running statistics belong to the encoder";
}

TEST(FeaturesOf, are_those_of_the_model_in_evaluation_mode) {
  const auto model = encoder();
  model->train(true);
  const data::Dataset set = data::make_shapes({.size = 16, .samples = 7, .seed = 1}, data::Split::test);
  const auto all = features_of(*model, set, kCpu, 3).to_host();
  EXPECT_TRUE(model->training()) << "the mode was not put back";
  model->train(false);
  const auto u8 = set.images.to_host<std::uint8_t>();
  std::vector<float> x;
  for (std::size_t i = 0; i < u8.size(); ++i) {
    const auto c = i % 3;  // normalised as the model was trained, not by the data set's own numbers
    x.push_back((static_cast<float>(u8[i]) / 255 - model->trained_on().mean[c]) / model->trained_on().std[c]);
  }
  const NoGrad no_grad;
  const auto expected = model->features(Tensor::from_host({7, 16, 16, 3}, x)).to_host();
  ASSERT_EQ(all.size(), expected.size());
  for (std::size_t i = 0; i < all.size(); ++i)
    EXPECT_NEAR(all[i], expected[i], 1e-5);
}

class ProbeFile : public testing::Test {
 protected:
  // The text of the refusal after `change` has had its way with the file.
  template <class Change>
  std::string refusal(const Change& change) {
    const auto model = encoder();
    save_probe(path, probe(*model));
    auto file = io::read_safetensors(path);
    change(&file);
    io::write_safetensors(path, file.tensors, file.metadata);
    const std::string text = text_of_error<DataError>([&] { load_probe(path, *model); });
    EXPECT_EQ(text.find("probe " + path.string() + ": expected "), 0u) << text;
    return text;
  }
  TestFolder folder;
  std::filesystem::path path = folder / "p.safetensors";
};

void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << text;
}

TEST_F(ProbeFile, is_refused_by_another_encoder) {
  const auto model = encoder(), other = encoder(1);
  save_probe(path, probe(*model));
  const std::string text = text_of_error<DataError>([&] { load_probe(path, *other); });
  EXPECT_EQ(text, "probe " + path.string() + ": expected a probe of this encoder (" + encoder_hash(*other) +
                      "), got one of another (" + encoder_hash(*model) + "); clx-probe fits one");
}

TEST_F(ProbeFile, is_what_pytorchs_linear_layer_takes) {
  const auto model = encoder();
  save_probe(path, probe(*model));
  const auto file = io::read_safetensors(path);
  EXPECT_EQ(file.tensors.size(), 2u);
  EXPECT_EQ(file.tensors.at("fc.weight").shape(), (Shape{4, 16}));
  EXPECT_EQ(file.tensors.at("fc.bias").shape(), (Shape{4}));
  EXPECT_EQ(file.metadata.at("normalized"), "true");
  EXPECT_EQ(file.metadata.at("mode"), "full-batch");
  EXPECT_EQ(file.metadata.at("encoder"), encoder_hash(*model));
}

TEST_F(ProbeFile, of_third_parties_is_taken_on_trust) {
  const auto model = encoder();
  const Probe made = probe(*model);
  io::write_safetensors(path, {{"fc.weight", made.weight}, {"fc.bias", made.bias}});
  const Probe read = load_probe(path, *model);
  EXPECT_TRUE(read.encoder.empty());
  EXPECT_TRUE(read.normalized);
  EXPECT_EQ(read.weight.to_host(), made.weight.to_host());
}

TEST_F(ProbeFile, is_refused_if_it_holds_something_else) {
  expect_contains(refusal([](auto* f) { f->metadata.erase("kind"); }),
                  "a file of clx-probe, got a checkpoint");
  expect_contains(refusal([](auto* f) { f->metadata["mode"] = "guess"; }), "got 'guess'");
  expect_contains(refusal([](auto* f) { f->metadata["normalized"] = "maybe"; }), "got 'maybe'");
  expect_contains(refusal([](auto* f) { f->metadata["class_names"] = "{"; }), "a list of names");
  expect_contains(refusal([](auto* f) { f->tensors.erase("fc.bias"); }),
                  "got 1 tensors, the first fc.weight");
  expect_contains(refusal([](auto* f) { f->tensors["fc.bias"] = Tensor::zeros({3}); }), "got (4,16) and (3)");
  expect_contains(refusal([](auto* f) {
                    f->tensors["fc.weight"] = Tensor::zeros({4, 8});
                  }),
                  "weights for 16 features, got 8");
  EXPECT_THROW(load_probe(folder / "none.safetensors", *encoder()), DataError);
}

}  // namespace
}  // namespace clx::nn
