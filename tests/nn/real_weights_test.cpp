// A ResNet-20 that others trained, on all of CIFAR-10's test images.
#include <algorithm>
#include <cmath>
#include <fstream>
#include <gtest/gtest.h>
#include <numeric>

#include "nn/checkpoint.h"
#include "nn/data/cifar10.h"
#include "runtime/autograd.h"
#include "runtime/ops/gather.h"
#include "tests/nn/test_data.h"

namespace clx::nn {
namespace {

TEST(RealWeights, resnet20_scores_ten_thousand_images_as_pytorch_does) {
  const auto folder = tests::test_data() / "resnet20-cifar10";
  const auto images = tests::test_data() / "cifar-10-batches-bin";
  if (!std::filesystem::exists(folder) || !std::filesystem::exists(images))
    GTEST_SKIP() << "needs resnet20-cifar10 and cifar-10-batches-bin in " << tests::test_data();
  const data::DatasetInfo info{"cifar10", {}, {0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}};
  const auto model = load_model(folder / "resnet20-12fca82f.safetensors", {.arch = "resnet20", .info = info});
  const data::Dataset set = data::load_cifar10(images, data::Split::test);
  std::vector<float> expected(100000);
  std::ifstream file(folder / "ref_logits_test_resnet20.f32", std::ios::binary);
  ASSERT_TRUE(file.read(reinterpret_cast<char*>(expected.data()), 400000));

  const Step step;
  const NoGrad no_grad;
  float worst = 0;
  int correct = 0;
  for (std::int64_t begin = 0; begin < set.size(); begin += 500) {
    std::vector<std::int64_t> ids(500);
    std::iota(ids.begin(), ids.end(), begin);
    const Tensor x = gather_images(set.images, Tensor::from_host({500}, ids), step,
                                   {.mean = model->trained_on().mean, .std = model->trained_on().std});
    const std::vector<float> scores = model->forward(x).to_host();
    for (std::int64_t i = 0; i < 500; ++i) {
      const float* row = scores.data() + i * 10;
      const float* reference = expected.data() + (begin + i) * 10;
      for (int k = 0; k < 10; ++k)
        worst = std::max(worst, std::fabs(row[k] - reference[k]));
      correct += std::max_element(row, row + 10) - row == set.labels[static_cast<std::size_t>(begin + i)];
    }
  }
  std::cout << "  largest difference " << worst << ", accuracy " << correct / 100.0 << " %\n";
  EXPECT_LT(worst, 1e-3);
  EXPECT_EQ(correct, 9173);
}

}  // namespace
}  // namespace clx::nn
