#include "runtime/ops/cam.h"

#include <array>
#include <limits>

#include "tests/check_op.h"
#include "tests/devices.h"
#include "tests/reference/cam.h"

namespace clx::tests {
namespace {

class Cam : public DeviceTest {
 protected:
  static void check_finish(const Shape& shape, int height, int width) {
    SCOPED_TRACE(concat("raw ", shape, " to ", height, "×", width));
    check_op(
        device(), {{uniform(shape, 1, -1, 2)}},
        [&](const auto& in) { return finish_cam(in[0], height, width).maps; },
        [&](const auto& in) { return reference::finish_cam(in[0], height, width); },
        {.f32 = {2e-6, 0}, .gradient = false});
  }
  static void check_weighted(const Shape& shape, int height, int width, DType dtype = DType::f32) {
    SCOPED_TRACE(concat("activations ", shape, " ", name_of(dtype), " to ", height, "×", width));
    const Array x = uniform(shape, 2, 0, 1, dtype), alpha = uniform({shape[0], shape[3]}, 3);
    const CamMaps y = weighted_cam(to_tensor(x, device(), dtype), to_tensor(alpha, device()), height, width);
    const Array raw = reference::weigh_channels(x, alpha);
    EXPECT_TRUE(all_close(to_array(y.raw), raw, {1e-6, 1e-6}));
    EXPECT_TRUE(all_close(to_array(y.maps), reference::finish_cam(map_to(DType::f32, raw), height, width),
                          {5e-6, 0}));
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, Cam, every_device(), device_name);

TEST_P(Cam, FinishesMapsOfOddSizes) {
  check_finish({3, 4, 4}, 32, 32);
  check_finish({2, 7, 7}, 35, 41);
  check_finish({2, 3, 5}, 17, 13);
  check_finish({1, 5, 3}, 5, 3);
  check_finish({2, 9, 11}, 4, 7);
  check_finish({1, 2, 1}, 19, 16);
  check_finish({1, 1, 3}, 5, 31);
}

TEST_P(Cam, WeighsActivations) {
  check_weighted({2, 4, 4, 64}, 32, 32);
  check_weighted({3, 3, 5, 7}, 11, 13);
  check_weighted({1, 7, 7, 129}, 28, 28);
  check_weighted({2, 2, 3, 1}, 9, 8);
  check_weighted({2, 4, 3, 33}, 16, 17, DType::bf16);
}

TEST_P(Cam, FlagsMapsWithoutAPositiveValue) {
  Array raw = uniform({4, 3, 3}, 4, -2, -1);
  raw(1, 1, 1) = 1e-20f;
  raw(2, 0, 0) = 0;
  raw(3, 2, 2) = std::numeric_limits<double>::quiet_NaN();
  const CamMaps y = finish_cam(to_tensor(raw, device()), 12, 12);
  EXPECT_EQ(y.zero.to_host<std::uint8_t>(), (std::vector<std::uint8_t>{1, 0, 1, 0}));
  const std::vector<float> maps = y.maps.to_host();
  for (std::size_t p = 0; p < 144; ++p) {
    EXPECT_EQ(maps[p], 0);
    EXPECT_EQ(maps[2 * 144 + p], 0);
    EXPECT_TRUE(std::isnan(maps[3 * 144 + p]));
  }
  EXPECT_GT(maps[144 + 6 * 12 + 6], 0);
  EXPECT_TRUE(std::isnan(y.raw.to_host()[3 * 9 + 8])) << "the raw map as it is";
}

// In f32, every operation rounded on its own: the last bits decide how near-ties are ordered.
std::vector<float> as_opencv(const std::vector<float>& raw, int h, int w, int H, int W) {
  const auto normalized = [](std::vector<float> m) {
    for (float& v : m)
      v = std::max(v, 0.0f);
    const auto [low, high] = std::minmax_element(m.begin(), m.end());
    const float least = *low, divisor = 1e-7f + (*high - least);
    for (float& v : m)
      v = (v - least) / divisor;
    return m;
  };
  const std::vector<float> small = normalized(raw);
  std::vector<float> y;
  for (int i = 0; i < H; ++i)
    for (int j = 0; j < W; ++j) {
      const auto place = [](int from, int to, int d) {
        return static_cast<float>((d + 0.5) * (static_cast<double>(from) / to) - 0.5);
      };
      const float row = place(h, H, i), column = place(w, W, j), a = row - std::floor(row);
      const auto across = [&](int r) {
        const float* from = small.data() + std::clamp(r, 0, h - 1) * w;
        const int s = static_cast<int>(std::floor(column));
        if (s < 0) return from[0];
        if (s >= w - 1) return from[w - 1];
        const float b = column - static_cast<float>(s), left = from[s] * (1 - b), right = from[s + 1] * b;
        return left + right;
      };
      const int r = static_cast<int>(std::floor(row));
      const float upper = across(r) * (1 - a), lower = across(r + 1) * a;
      y.push_back(upper + lower);
    }
  return normalized(y);
}

TEST_P(Cam, HasTheBitsOfOpenCv) {
  for (const auto& [h, w, H, W] :
       {std::array{4, 4, 32, 32}, std::array{7, 7, 56, 56}, std::array{5, 3, 33, 29}}) {
    const Tensor raw = to_tensor(uniform({1, h, w}, 5, -1, 2), device());
    const std::vector<float> y = finish_cam(raw, H, W).maps.to_host();
    EXPECT_EQ(y, as_opencv(raw.to_host(), h, w, H, W)) << concat(h, "×", w, " to ", H, "×", W);
  }
}

// Ties decide in which order pixels are removed: in a row, the pixels beyond the outermost centres are equal
// bit by bit, and a mirrored map has the mirrored bits.
TEST_P(Cam, KeepsTies) {
  Array raw({1, 4, 4});
  raw(0, 0, 0) = 0.3f;
  raw(0, 0, 3) = 0.3f;
  raw(0, 2, 1) = 0.7f;
  raw(0, 2, 2) = 0.7f;
  const std::vector<float> m = finish_cam(to_tensor(raw, device()), 32, 32).maps.to_host();
  for (std::size_t i = 0; i < 4; ++i)
    for (std::size_t j = 0; j < 4; ++j)
      EXPECT_EQ(m[32 * i + j], m[32 * i]);
  for (std::size_t i = 0; i < 32; ++i)
    for (std::size_t j = 0; j < 32; ++j)
      EXPECT_EQ(m[32 * i + j], m[32 * i + 31 - j]);
}

TEST_P(Cam, RefusesWhatDoesNotFit) {
  const Tensor x = Tensor::zeros({2, 3, 3, 5}, device());
  EXPECT_THROW(finish_cam(x, 9, 9), Error);
  EXPECT_THROW(finish_cam(Tensor::zeros({2, 3, 3}, device()), 9, 0), Error);
  EXPECT_THROW(weighted_cam(x, Tensor::zeros({2, 4}, device()), 9, 9), Error);
  EXPECT_THROW(weighted_cam(x, Tensor::zeros({2, 5}, device(), DType::bf16), 9, 9), Error);
  EXPECT_THROW(weighted_cam(x, Tensor::zeros({2, 5}, device()), -1, 9), Error);
}

}  // namespace
}  // namespace clx::tests
