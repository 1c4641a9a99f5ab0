#include "apps/support/picture.h"

#include <algorithm>

#include "runtime/check.h"

namespace clx::app {
namespace {

void paste(const io::Image& image, int top, int left, io::Image& sheet) {
  const int channels = sheet.channels;
  for (int i = 0; i < image.height; ++i) {
    const auto row = image.pixels.begin() + static_cast<std::ptrdiff_t>(i) * image.width * channels;
    const auto to =
        sheet.pixels.begin() + (static_cast<std::ptrdiff_t>(top + i) * sheet.width + left) * channels;
    std::copy_n(row, image.width * channels, to);
  }
}

}  // namespace

io::Image enlarge(const io::Image& image, int factor) {
  CLX_CHECK(factor >= 1, "enlarge: expected a factor of at least 1, got ", factor);
  io::Image large{image.width * factor, image.height * factor, image.channels, {}};
  large.pixels.reserve(image.pixels.size() * static_cast<std::size_t>(factor) *
                       static_cast<std::size_t>(factor));
  for (int i = 0; i < large.height; ++i)
    for (int j = 0; j < large.width; ++j) {
      const auto pixel =
          image.pixels.begin() +
          (static_cast<std::ptrdiff_t>(i / factor) * image.width + j / factor) * image.channels;
      large.pixels.insert(large.pixels.end(), pixel, pixel + image.channels);
    }
  return large;
}

io::Image contact_sheet(const std::vector<std::vector<io::Image>>& rows, int gap) {
  CLX_CHECK(!rows.empty() && !rows[0].empty(), "contact sheet: expected at least one picture");
  const io::Image& first = rows[0][0];
  std::size_t columns = 0;
  for (const auto& row : rows) {
    columns = std::max(columns, row.size());
    for (const io::Image& image : row)
      CLX_CHECK(
          image.width == first.width && image.height == first.height && image.channels == first.channels,
          "contact sheet: expected pictures of ", first.width, "×", first.height, ", got ", image.width, "×",
          image.height);
  }
  io::Image sheet{static_cast<int>(columns) * (first.width + gap) + gap,
                  static_cast<int>(rows.size()) * (first.height + gap) + gap,
                  first.channels,
                  {}};
  sheet.pixels.assign(static_cast<std::size_t>(sheet.width) * static_cast<std::size_t>(sheet.height) *
                          static_cast<std::size_t>(sheet.channels),
                      255);
  for (std::size_t r = 0; r < rows.size(); ++r)
    for (std::size_t c = 0; c < rows[r].size(); ++c)
      paste(rows[r][c], gap + static_cast<int>(r) * (first.height + gap),
            gap + static_cast<int>(c) * (first.width + gap), sheet);
  return sheet;
}

}  // namespace clx::app
