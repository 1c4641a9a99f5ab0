// Images for evaluation: the same from wherever they are kept.
#include <gtest/gtest.h>

#include "apps/support/data_options.h"
#include "nn/data/folder.h"
#include "nn/data/shapes.h"
#include "nn/models/resnet.h"
#include "tests/arrays.h"
#include "tests/devices.h"
#include "tests/nn/image_folder.h"
#include "tests/nn/test_data.h"

namespace clx::app {
namespace {

class ImagesToEvaluate : public tests::DeviceTest {
 protected:
  static std::vector<std::uint8_t> images(const data::Dataset& set, std::optional<std::int64_t> most) {
    const auto model = nn::make_model("resnet20", {.width = 0.25}, 1, device());
    Batches batches(set, device(), *model, most);
    const std::vector<Tensor> parts{batches.images(3, 10), batches.images(0, 1)};
    std::vector<std::uint8_t> all = tests::bits(parts[0]);
    const std::vector<std::uint8_t> more = tests::bits(parts[1]);
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, ImagesToEvaluate, tests::every_device(), tests::device_name);

TEST_P(ImagesToEvaluate, AreTheSameWhetherTheDeviceKeepsThemOrNot) {
  const data::Dataset set = data::make_shapes({.size = 16, .samples = 12, .seed = 5}, data::Split::test);
  EXPECT_TRUE(images(set, 0) == images(set, {}));
}

TEST_P(ImagesToEvaluate, AreTheSameReadFromFiles) {
  const tests::TestFolder folder;
  tests::write_photos(folder.path(), 5, false);
  const data::Dataset photos =
      data::load_folder(folder.path(), data::Split::train, {.square = {.side = 16}, .test_fraction = 0.01});
  data::Dataset decoded = photos;
  data::make_resident(&decoded, 1, data::OnBadImage::fail);
  const std::vector<std::uint8_t> expected = images(decoded, {});
  EXPECT_TRUE(images(photos, {}) == expected);
  EXPECT_TRUE(images(decoded, 0) == expected);
}

}  // namespace
}  // namespace clx::app
