#include "xai/explain/aug_smooth.h"

#include <gtest/gtest.h>

#include "runtime/check.h"

namespace clx::xai {
namespace {

// The channel sums of images (N,H,W,C) as maps.
Tensor sums(const Tensor& x) {
  Tensor maps({x.dim(0), x.dim(1), x.dim(2)});
  for (std::int64_t p = 0; p < maps.size(); ++p) {
    float sum = 0;
    for (std::int64_t c = 0; c < x.dim(3); ++c)
      sum += x.data()[p * x.dim(3) + c];
    maps.mutable_data()[p] = sum;
  }
  return maps;
}

TEST(AugSmooth, SeesSixViewsInTheLibrarysOrder) {
  const Tensor x = Tensor::from_host({1, 1, 3, 2}, std::vector<float>{1, 10, 2, 20, 3, 30});
  std::vector<std::vector<float>> seen;
  const auto maps = aug_smooth(x, [&](const Tensor& view) {
    seen.push_back(view.to_host());
    return std::vector<Tensor>{sums(view)};
  });
  ASSERT_EQ(seen.size(), 6u);
  for (std::size_t v = 0; v < 6; ++v) {
    const float factor = std::vector<float>{0.9f, 1, 1.1f}[v % 3];
    const std::vector<float> expected =
        v < 3 ? std::vector<float>{1, 10, 2, 20, 3, 30} : std::vector<float>{3, 30, 2, 20, 1, 10};
    for (std::size_t i = 0; i < 6; ++i)
      EXPECT_EQ(seen[v][i], factor * expected[i]) << "view " << v;
  }
  // Mirrored back and averaged: the factors' mean is 1.
  for (int j = 0; j < 3; ++j)
    EXPECT_NEAR(maps[0].data()[j], 11 * (j + 1), 1e-4);
}

TEST(AugSmooth, AveragesFinishedMapsWithoutScalingThem) {
  // A map that looks to the left edge of every view, mirrored or not: half and half.
  const auto left = [](const Tensor& view) {
    Tensor m = Tensor::zeros({view.dim(0), 1, 4});
    m.mutable_data()[0] = 1;
    return std::vector<Tensor>{m, m};
  };
  const auto maps = aug_smooth(Tensor::full({1, 1, 4, 3}, 1.0f), left);
  ASSERT_EQ(maps.size(), 2u);
  EXPECT_EQ(maps[1].to_host(), (std::vector<float>{0.5f, 0, 0, 0.5f}));
}

TEST(AugSmooth, KeepsTheTypeOfImages) {
  const Tensor x = Tensor::full({1, 1, 4, 3}, 1.0f, kCpu, DType::bf16);
  aug_smooth(x, [](const Tensor& view) {
    EXPECT_EQ(view.dtype(), DType::bf16);
    return std::vector<Tensor>{Tensor::zeros({1, 1, 4})};
  });
  EXPECT_THROW(aug_smooth(Tensor({1, 4, 3}), [](const Tensor&) { return std::vector<Tensor>(); }), Error);
  EXPECT_THROW(aug_smooth(Tensor::zeros({1, 1, 4, 3}),
                          [](const Tensor&) {
                            return std::vector<Tensor>{Tensor({1, 1, 3})};
                          }),
               Error);
}

}  // namespace
}  // namespace clx::xai
