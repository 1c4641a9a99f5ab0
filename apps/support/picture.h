// Pictures for people: single overlays and the contact sheet of many.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "runtime/io/image.h"

namespace clx::app {

/// `image` with every pixel drawn as a square of `factor` pixels.
io::Image enlarge(const io::Image& image, int factor);

/// Rows of RGB pictures of one size on a white sheet, `gap` pixels apart; rows may differ in length.
/// Throws Error if there are none or their sizes differ.
io::Image contact_sheet(const std::vector<std::vector<io::Image>>& rows, int gap = 4);

}  // namespace clx::app
