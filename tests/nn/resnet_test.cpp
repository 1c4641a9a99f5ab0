// The networks: sizes, initial values, layers, refusals; equality with PyTorch is in parity_test.cpp.
#include "nn/models/resnet.h"

#include <algorithm>
#include <gtest/gtest.h>

#include "runtime/autograd.h"
#include "runtime/check.h"
#include "runtime/ops/linear.h"
#include "runtime/ops/relu.h"
#include "runtime/ops/softmax.h"
#include "runtime/threads.h"
#include "tests/nn/closed_form.h"
#include "tests/nn/test_data.h"

namespace clx::nn {
namespace {

using tests::images;
using tests::text_of_error;

std::int64_t count(const std::string& arch, const ResnetOptions& options = {}) {
  return make_model(arch, options, std::nullopt)->parameter_count();
}

// torchvision, akamaster's code and spec agree on these; see make_models.py.
TEST(Resnet, has_as_many_parameters_as_published) {
  EXPECT_EQ(count("resnet20"), 269722);
  EXPECT_EQ(count("resnet20", {.shortcut = Shortcut::projection}), 272474);
  EXPECT_EQ(count("resnet32"), 464154);
  EXPECT_EQ(count("resnet44"), 658586);
  EXPECT_EQ(count("resnet56"), 853018);
  EXPECT_EQ(count("resnet56", {.shortcut = Shortcut::projection}), 855770);
  EXPECT_EQ(count("resnet18-cifar"), 11173962);
  EXPECT_EQ(count("resnet50", {.classes = 50}), 23610482);
  EXPECT_EQ(count("resnet50", {.classes = 1000}), 25557032);
}

TEST(Resnet, has_as_many_parameters_with_a_projection_head_as_published) {
  EXPECT_EQ(count("resnet18-cifar", {.head = Head::projection}), 11497152);
  EXPECT_EQ(count("resnet50", {.head = Head::projection}), 27966656);
}

TEST(Resnet, names_its_tensors_as_pytorch_does) {
  std::vector<std::string> names;
  make_model("resnet50", {.width = 0.0625}, std::nullopt)->visit([&](const Entry& e) {
    names.push_back(e.name);
  });
  EXPECT_EQ(names.size(), 161u + 159u);
  const std::vector<std::string> head(names.begin(), names.begin() + 7);
  EXPECT_EQ(head, (std::vector<std::string>{"conv1.weight", "bn1.weight", "bn1.bias", "bn1.running_mean",
                                            "bn1.running_var", "bn1.num_batches_tracked",
                                            "layer1.0.conv1.weight"}));
  for (const char* name : {"layer4.2.bn3.running_var", "layer1.0.downsample.0.weight",
                           "layer2.0.downsample.1.bias", "fc.weight", "fc.bias"})
    EXPECT_TRUE(std::ranges::count(names, name) == 1) << name;
}

Tensor tensor_named(Model& model, const std::string& name) {
  Tensor found;
  model.visit([&](const Entry& e) {
    if (e.name == name) found = *e.tensor;
  });
  EXPECT_TRUE(found.defined()) << name;
  return found;
}

TEST(Resnet, starts_with_he_normal_filters_and_unit_batchnorms) {
  const auto model = make_model("resnet18-cifar", {.width = 0.5});
  const Tensor w = tensor_named(*model, "layer4.1.conv2.weight");  // 256 filters of 3×3: σ = √(2/2304)
  double sum = 0, squares = 0, fourth = 0;
  for (const double v : w.to_host()) {
    sum += v;
    squares += v * v;
    fourth += v * v * v * v;
  }
  const auto n = static_cast<double>(w.size());
  const double deviation = std::sqrt(2.0 / 2304);
  EXPECT_NEAR(sum / n, 0, 4 * deviation / std::sqrt(n));
  EXPECT_NEAR(std::sqrt(squares / n), deviation, 0.005 * deviation);
  EXPECT_NEAR(fourth / n / std::pow(squares / n, 2), 3, 0.05);  // a normal's kurtosis
  for (const float v : tensor_named(*model, "layer4.1.bn2.weight").to_host())
    EXPECT_EQ(v, 1);
  const auto head = tensor_named(*model, "fc.weight").to_host();  // uniform in ±1/√256
  EXPECT_LE(*std::ranges::max_element(head), 0.0625f);
  EXPECT_GE(*std::ranges::min_element(head), -0.0625f);
  EXPECT_GT(*std::ranges::max_element(head), 0.06f);
  EXPECT_LT(*std::ranges::min_element(head), -0.06f);
}

TEST(Resnet, starts_bottlenecks_as_their_shortcuts) {
  const auto model = make_model("resnet50", {.width = 0.0625});
  for (const float v : tensor_named(*model, "layer3.4.bn3.weight").to_host())
    EXPECT_EQ(v, 0);
  for (const float v : tensor_named(*model, "layer3.0.downsample.1.weight").to_host())
    EXPECT_EQ(v, 1);
}

TEST(Resnet, starts_projection_heads_small) {
  const auto model = make_model("resnet18-cifar", {.width = 0.5, .head = Head::projection});
  const auto hidden = tensor_named(*model, "projection.0.weight");
  EXPECT_EQ(hidden.shape(), (Shape{256, 256}));
  EXPECT_EQ(tensor_named(*model, "projection.2.weight").shape(), (Shape{128, 256}));
  double squares = 0;
  for (const double v : hidden.to_host())
    squares += v * v;
  EXPECT_NEAR(std::sqrt(squares / static_cast<double>(hidden.size())), 0.01, 1e-4);
  for (const char* bias : {"projection.0.bias", "projection.2.bias"})
    for (const float v : tensor_named(*model, bias).to_host())
      EXPECT_EQ(v, 0);
}

TEST(Resnet, folds_the_current_batchnorms_into_its_filters_for_inference) {
  for (const auto& [arch, width] :
       {std::pair{"resnet20", 1.0}, {"resnet18-cifar", 0.25}, {"resnet50", 0.125}}) {
    SCOPED_TRACE(arch);
    const auto model = make_model(arch, {.width = width});
    const auto expect_same = [&] {
      const std::vector<float> apart = model->features(images(3, 32)).to_host();
      const NoGrad no_grad;
      const std::vector<float> folded = model->features(images(3, 32)).to_host();
      float largest = 0;
      for (const float v : apart)
        largest = std::max(largest, std::abs(v));
      for (std::size_t i = 0; i < apart.size(); ++i)
        ASSERT_NEAR(folded[i], apart[i], 1e-5f * largest);
      EXPECT_NE(folded, apart) << "they are rounded in another order: the test compares two ways";
    };
    expect_same();
    model->train(true);
    model->features(images(3, 32));  // writes running statistics
    model->train(false);
    expect_same();
    model->visit([](const Entry& e) {
      if (e.name == "layer1.0.bn2.weight" || e.name == "layer2.0.conv1.weight")
        for (std::int64_t i = 0; i < e.tensor->size(); ++i)
          e.tensor->mutable_data()[i] *= 1.5f;
    });
    expect_same();
  }
}

// More images than pass the first stage at once where no gradient is wanted.
TEST(Resnet, gives_an_image_the_same_bits_among_many) {
  const NoGrad no_grad;
  const auto model = make_model("resnet18-cifar", {}, 3);
  const Tensor x = images(8 * threads() + 3, 32);
  const std::vector<float> all = model->forward(x).to_host();
  for (const std::int64_t n : {std::int64_t{0}, x.dim(0) / 2, x.dim(0) - 1}) {
    const std::vector<float> alone = model->forward(x.slice(n, n + 1)).to_host();
    EXPECT_TRUE(std::equal(alone.begin(), alone.end(), all.begin() + n * 10)) << "image " << n;
  }
}

TEST(Resnet, has_one_kind_of_head) {
  const auto encoder = make_model("resnet20", {.width = 0.25, .head = Head::projection, .projection = 5});
  const auto classifier = make_model("resnet20", {.width = 0.25});
  const NoGrad no_grad;
  const Tensor f = encoder->features(images(3, 16));
  EXPECT_EQ(f.to_host(), classifier->features(images(3, 16)).to_host()) << "the blocks depend on the head";
  EXPECT_EQ(encoder->projection(f).shape(), (Shape{3, 5}));
  EXPECT_EQ(encoder->description(), "resnet20, projection to 5, width 0.25");
  EXPECT_EQ(encoder->classes(), 0);
  EXPECT_EQ(text_of_error<Error>([&] { encoder->forward(images(3, 16)); }),
            "resnet20: expected a classifier, got a projection head; a probe adds one");
  EXPECT_THROW(classifier->projection(f), Error);
  encoder->visit([](const Entry& e) { EXPECT_FALSE(e.name.starts_with("linear")) << e.name; });
  EXPECT_THROW(make_model("resnet20", {.head = Head::projection, .projection = 0}), Error);
}

TEST(Resnet, projects_as_its_two_layers_say) {
  const auto model = make_model("resnet20", {.width = 0.25, .head = Head::projection, .projection = 5});
  tests::fill(*model, false);
  const NoGrad no_grad;
  const Tensor f = model->features(images(2, 8));
  const Tensor hidden =
      relu(linear(f, tensor_named(*model, "projection.0.weight"), tensor_named(*model, "projection.0.bias")));
  const Tensor u =
      linear(hidden, tensor_named(*model, "projection.2.weight"), tensor_named(*model, "projection.2.bias"));
  EXPECT_EQ(model->projection(f).to_host(), u.to_host());
}

TEST(Resnet, starts_differently_with_another_seed_only) {
  const auto first = [](std::uint64_t seed) {
    return make_model("resnet20", {.width = 0.25}, seed)->parameters()[0].to_host();
  };
  EXPECT_EQ(first(3), first(3));
  EXPECT_NE(first(3), first(4));
}

TEST(Resnet, scores_are_the_head_of_the_features_and_of_every_tap) {
  const auto model = make_model("resnet20", {.width = 0.25});
  const Tensor x = images(3, 16);
  const NoGrad no_grad;
  const auto scores = model->forward(x).to_host();
  EXPECT_EQ(model->head(model->features(x)).to_host(), scores);
  EXPECT_EQ(model->features(x).shape(), (Shape{3, 16}));
  for (const std::string& layer : model->layers())
    EXPECT_EQ(model->forward_with(x, layer).logits.to_host(), scores) << layer;
}

TEST(Resnet, gives_the_gradient_of_a_score_at_the_last_block) {
  const auto model = make_model("resnet20", {.width = 0.25});
  const Activations tapped = model->forward_with(images(2, 16), model->default_layer());
  ASSERT_EQ(tapped.activation.shape(), (Shape{2, 4, 4, 16}));
  const Tensor score = pick(tapped.logits, Tensor::from_host({2}, std::vector<std::int32_t>{1, 7}));
  const auto gradient = grad(score, {tapped.activation})[0].to_host();
  // Pooling and a linear head follow: ∂score/∂activation[·,·,k] = w[class,k]/16.
  const auto w = tensor_named(*model, "linear.weight").to_host();
  for (std::size_t i = 0; i < gradient.size(); ++i)
    EXPECT_FLOAT_EQ(gradient[i], w[(i < 256 ? 1 : 7) * 16 + i % 16] / 16);
}

TEST(Resnet, gives_the_gradient_at_an_inner_block) {
  const auto model = make_model("resnet20", {.width = 0.25});
  const Activations tapped = model->forward_with(images(2, 16), "layer2");  // the last of its blocks
  EXPECT_EQ(tapped.activation.shape(), (Shape{2, 8, 8, 8}));
  const Tensor score = pick(tapped.logits, Tensor::from_host({2}, std::vector<std::int32_t>{0, 0}));
  EXPECT_EQ(grad(score, {tapped.activation})[0].shape(), tapped.activation.shape());
}

TEST(Resnet, lists_its_layers) {
  const auto layers = make_model("resnet18-cifar", {.width = 0.0625}, std::nullopt)->layers();
  EXPECT_EQ(layers, (std::vector<std::string>{"layer1.0", "layer1.1", "layer2.0", "layer2.1", "layer3.0",
                                              "layer3.1", "layer4.0", "layer4.1"}));
}

TEST(Resnet, says_what_it_is) {
  EXPECT_EQ(make_model("resnet20", {}, std::nullopt)->description(), "resnet20");
  const auto model =
      make_model("resnet32", {.classes = 7, .width = 0.25, .shortcut = Shortcut::projection}, std::nullopt);
  EXPECT_EQ(model->description(), "resnet32, 7 classes, width 0.25, shortcut B");
  EXPECT_EQ(resnet_options(*model).classes, 7);
}

TEST(Resnet, computes_in_bf16_what_it_computes_in_f32) {
  const auto exact = make_model("resnet20", {.width = 0.5});
  const auto coarse = make_model("resnet20", {.width = 0.5}, 0, kCpu, Precision::bf16);
  const Tensor x = images(2, 16);
  std::vector<bf16> rounded;
  for (const float v : x.to_host())
    rounded.emplace_back(v);
  const NoGrad no_grad;
  const auto a = exact->forward(x).to_host(),
             b = coarse->forward(Tensor::from_host(x.shape(), rounded)).to_host();
  // Twenty layers, each rounding to 8 bits: a few per cent of the scores' size.
  const float size = *std::ranges::max_element(a, {}, [](float v) { return std::fabs(v); });
  for (std::size_t i = 0; i < a.size(); ++i)
    EXPECT_NEAR(a[i], b[i], 0.05f * std::fabs(size));
  EXPECT_EQ(coarse->input_dtype(), DType::bf16);
}

TEST(Resnet, counts_training_batches_only) {
  const auto model = make_model("resnet20", {.width = 0.25});
  const NoGrad no_grad;
  const auto batches = [&] {
    return tensor_named(*model, "layer3.2.bn2.num_batches_tracked").to_host<std::int64_t>()[0];
  };
  model->forward(images(2, 8));
  EXPECT_EQ(batches(), 0);
  model->train(true);
  model->forward(images(2, 8));
  model->forward(images(2, 8));
  EXPECT_EQ(batches(), 2);
}

TEST(Resnet, refuses_what_it_cannot_build) {
  EXPECT_EQ(text_of_error<Error>([] { make_model("resnet19"); }),
            "arch: expected one of resnet20, resnet32, resnet44, resnet56, resnet18-cifar, resnet50, got "
            "'resnet19'; "
            "did you mean resnet20?");
  EXPECT_THROW(make_model("resnet20", {.classes = 1}), Error);
  EXPECT_THROW(make_model("resnet20", {.width = 0}), Error);
  EXPECT_THROW(make_model("resnet20", {.width = -1}), Error);
}

TEST(Resnet, refuses_unknown_layers_and_suggests) {
  const auto model = make_model("resnet20", {.width = 0.25}, std::nullopt);
  const std::string text = text_of_error<Error>([&] { model->forward_with(images(1, 8), "layer3.3"); });
  EXPECT_NE(text.find("layer1.0, layer1.1"), std::string::npos) << text;
  EXPECT_NE(text.find("got 'layer3.3'; did you mean layer"), std::string::npos) << text;
  EXPECT_THROW(model->forward_with(images(1, 8), "layer4"), Error);
}

TEST(Resnet, refuses_images_of_another_form) {
  const auto model = make_model("resnet20", {.width = 0.25}, std::nullopt);
  EXPECT_EQ(text_of_error<Error>([&] {
              model->forward(Tensor::zeros({2, 3, 32, 32}));
            }),
            "resnet20: expected images (N,H,W,3) of f32, got shape (2,3,32,32) of f32");
  EXPECT_THROW(model->forward(Tensor::zeros({2, 8, 8, 3}, kCpu, DType::u8)), Error);
  EXPECT_THROW(model->forward(Tensor()), Error);
}

}  // namespace
}  // namespace clx::nn
