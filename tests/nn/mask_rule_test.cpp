// What becomes of masks with class numbers, as ImageNet-S has them.
#include <gtest/gtest.h>

#include "nn/data/image_source.h"

namespace clx::data {
namespace {

constexpr int kSide = 8;

// One image of 8×8 whose mask has class 1 at the left, class 50 at the right, 1000 (to be ignored) at the
// top.
class Source final : public ImageSource {
 public:
  Source() : pixels_(3 * kSide * kSide), mask_(pixels_.size()) {
    for (int i = 0; i < kSide; ++i)
      for (int j = 0; j < kSide; ++j) {
        const int id = i < 2 ? 1000 : j < 2 ? 1 : j >= 6 ? 50 : 0;
        mask_[static_cast<std::size_t>(3 * (i * kSide + j))] = static_cast<std::uint8_t>(id % 256);
        mask_[static_cast<std::size_t>(3 * (i * kSide + j) + 1)] = static_cast<std::uint8_t>(id / 256);
      }
  }
  std::int64_t size() const override { return 1; }
  bool has_masks() const override { return true; }
  std::string name(std::int64_t) const override { return "image"; }
  io::ImageView read(std::int64_t, Memory&) const override { return {kSide, kSide, 3, pixels_.data()}; }
  io::ImageView read_mask(std::int64_t, Memory&) const override { return {kSide, kSide, 3, mask_.data()}; }

 private:
  std::vector<std::uint8_t> pixels_, mask_;
};

// The share of the mask's pixels that are object, in 64ths, for an image of class `label`.
int object_pixels(MaskRule rule, int label, int side = kSide) {
  Dataset set;
  set.source = std::make_shared<Source>();
  set.square = {.side = side, .shorter = side};
  set.labels = {label};
  set.mask_rule = rule;
  make_resident(&set, 1, OnBadImage::fail);
  int count = 0;
  for (const std::uint8_t m : set.masks.to_host<std::uint8_t>())
    count += m;
  return count;
}

TEST(MaskRule, AnyCountsEveryClassAndWhatIsToBeIgnored) {
  EXPECT_EQ(object_pixels(MaskRule::any, 0), 16 + 12 + 12);
}

TEST(MaskRule, ClassIdCountsTheImagesOwnClass) {
  EXPECT_EQ(object_pixels(MaskRule::class_id, 0), 12);
  EXPECT_EQ(object_pixels(MaskRule::class_id, 49), 12);
  EXPECT_EQ(object_pixels(MaskRule::class_id, 7), 0);
}

// Between 50 and 0 anything above 1 % of 50 rounds to 1, between 1 and 0 half of it must be left.
TEST(MaskRule, BlendedCountsEverythingAndGrowsWithTheClassNumber) {
  EXPECT_EQ(object_pixels(MaskRule::blended, 7), 16 + 12 + 12);
  const int nearest = object_pixels(MaskRule::any, 7, 16), blended = object_pixels(MaskRule::blended, 7, 16);
  EXPECT_EQ(nearest, 4 * 40);
  EXPECT_GT(blended, nearest);
  EXPECT_LE(blended, nearest + 12 + 16);
}

}  // namespace
}  // namespace clx::data
