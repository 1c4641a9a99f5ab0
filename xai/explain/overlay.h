// Saliency pictures: a map in colour over the image it explains.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace clx::xai {

/// OpenCV's JET colour map at i of 255, as red, green, blue.
std::array<std::uint8_t, 3> jet(int i);

/// Draws `map` over `image` as pytorch-grad-cam's show_cam_on_image does:
///   out = alpha·image + (1 − alpha)·jet(⌊255·map⌋), divided by its largest value.
///
/// Shapes    image (height·width·3) u8 RGB, map (height·width) in [0,1] → RGB u8 like image
/// Throws    Error if sizes differ
std::vector<std::uint8_t> overlay(const std::vector<std::uint8_t>& image,
                                  const std::vector<float>& map,
                                  float alpha = 0.5f);

}  // namespace clx::xai
