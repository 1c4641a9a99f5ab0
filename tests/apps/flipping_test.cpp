// Pixel flipping of networks, whose convolutions must not depend on the batch.
#include <gtest/gtest.h>

#include "nn/models/resnet.h"
#include "runtime/autograd.h"
#include "runtime/graph.h"
#include "tests/arrays.h"
#include "xai/metrics/pixel_flipping.h"

namespace clx::app {
namespace {

using xai::PixelFlipping;

class FlippingOfNetworks : public testing::TestWithParam<const char*> {
 protected:
  static PixelFlipping flip(nn::Model& model,
                            const Tensor& images,
                            const Tensor& maps,
                            const std::vector<std::int32_t>& classes,
                            const xai::PixelFlippingOptions& options) {
    return xai::pixel_flipping([&](const Tensor& x) { return model.forward(x); }, images, maps, classes,
                               options);
  }
};
INSTANTIATE_TEST_SUITE_P(Networks,
                         FlippingOfNetworks,
                         testing::Values("resnet20", "resnet18-cifar", "resnet50"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST_P(FlippingOfNetworks, DoesNotDependOnTheBatchToTheLastBit) {
  const auto model = nn::make_model(GetParam(), {.width = 0.25}, 1);
  const Tensor images = tests::to_tensor(tests::uniform({2, 32, 32, 3}, 1, -2, 2), kCpu),
               maps = tests::to_tensor(tests::uniform({2, 32, 32}, 2, 0, 1), kCpu);
  const auto with = [&](int batch, std::int64_t max_memory) {
    const PixelFlipping pf = flip(*model, images, maps, {3, 1},
                                  {.pixels_per_step = 256, .batch_size = batch, .max_memory = max_memory});
    std::vector<double> all = pf.p0;
    for (const auto* more : {&pf.curves, &pf.auc, &pf.auc_with_p0, &pf.auc_over_p0})
      all.insert(all.end(), more->begin(), more->end());
    return all;
  };
  const std::vector<double> one = with(1, 1);
  EXPECT_EQ(with(3, 1), one);
  EXPECT_EQ(with(0, 1 << 23), one);
}

TEST_P(FlippingOfNetworks, DoesNotDependOnOtherImagesToTheLastBit) {
  const auto model = nn::make_model(GetParam(), {.width = 0.25}, 1);
  const Tensor images = tests::to_tensor(tests::uniform({2, 32, 32, 3}, 1, -2, 2), kCpu),
               maps = tests::to_tensor(tests::uniform({2, 32, 32}, 2, 0, 1), kCpu);
  const std::vector<double> all = flip(*model, images, maps, {3, 1}, {.pixels_per_step = 512}).curves;
  const std::vector<double> last =
      flip(*model, images.slice(1, 2), maps.slice(1, 2), {1}, {.pixels_per_step = 512}).curves;
  EXPECT_TRUE(std::equal(last.begin(), last.end(), all.end() - static_cast<std::ptrdiff_t>(last.size())));
}

TEST(FlippingByAGraph, HasThePlainScores) {
  const auto model = nn::make_model("resnet20", {.width = 0.25}, 1, kEmulated);
  model->train(false);
  const Tensor images = tests::to_tensor(tests::uniform({2, 8, 8, 3}, 1, -2, 2), kEmulated),
               first = tests::to_tensor(tests::uniform({2, 8, 8}, 2, 0, 1), kEmulated),
               second = tests::to_tensor(tests::uniform({2, 8, 8}, 3, 0, 1), kEmulated);
  int calls = 0;
  const auto curves = [&](GraphMode graph) {
    const auto classifier = [&](const Tensor& x) {
      ++calls;
      const NoGrad no_grad;
      return model->forward(x);
    };
    Replayed replayed(kEmulated, graph,
                      [&](const std::vector<Tensor>& x) { return std::vector{classifier(x[0])}; });
    std::vector<double> all;
    for (const PixelFlipping& pf :
         xai::pixel_flipping(classifier, images, std::vector{first, second}, {3, 1},
                             {.pixels_per_step = 16, .batch_size = 3, .replayed = [&](const Tensor& x) {
                                return replayed({x})[0];
                              }})) {
      EXPECT_EQ(pf.batch_size, 3);
      all.insert(all.end(), pf.curves.begin(), pf.curves.end());
    }
    return all;
  };
  const std::vector<double> plain = curves(GraphMode::off);
  EXPECT_EQ(calls, 6) << "for each map two batches of what lies between, and once the first and last states";
  calls = 0;
  EXPECT_EQ(curves(GraphMode::on), plain);
  EXPECT_EQ(calls, 4) << "two fewer: the second map's batches are replayed";
}

}  // namespace
}  // namespace clx::app
