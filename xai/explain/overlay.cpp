#include "xai/explain/overlay.h"

#include <algorithm>
#include <cmath>

#include "runtime/check.h"

namespace clx::xai {

std::array<std::uint8_t, 3> jet(int i) {
  const int level = 4 * std::clamp(i, 0, 255);
  // Each colour is a trapezoid over i: rising by 4, at 255 for a quarter of the range, falling by 4.
  const auto channel = [&](int centre) {
    return static_cast<std::uint8_t>(
        std::nearbyint(std::clamp(382.5 - std::abs(level - 255 * centre), 0.0, 255.0)));
  };
  // The last step of OpenCV's blue, 1.5 of 255, is rounded down.
  return {channel(3), channel(2), i == 159 ? std::uint8_t{1} : channel(1)};
}

std::vector<std::uint8_t> overlay(const std::vector<std::uint8_t>& image,
                                  const std::vector<float>& map,
                                  float alpha) {
  CLX_CHECK(image.size() == 3 * map.size(), "overlay: expected ", 3 * map.size(), " RGB bytes for a map of ",
            map.size(), " pixels, got ", image.size());
  std::vector<float> mixed(image.size());
  float largest = 0;
  for (std::size_t p = 0; p < map.size(); ++p) {
    const auto heat = jet(static_cast<int>(255 * std::clamp(map[p], 0.0f, 1.0f)));
    for (std::size_t c = 0; c < 3; ++c) {
      const float pixel = static_cast<float>(image[3 * p + c]) / 255;
      const float value = (1 - alpha) * (static_cast<float>(heat[c]) / 255) + alpha * pixel;
      mixed[3 * p + c] = value;
      largest = std::max(largest, value);
    }
  }
  std::vector<std::uint8_t> out(image.size());
  std::transform(mixed.begin(), mixed.end(), out.begin(),
                 [&](float v) { return static_cast<std::uint8_t>(largest > 0 ? 255 * (v / largest) : 0); });
  return out;
}

}  // namespace clx::xai
