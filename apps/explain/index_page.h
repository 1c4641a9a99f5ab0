// A page that shows all overlays in a browser.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace clx::app {

struct Picture {
  std::string caption, file;  // the file as seen from the page
};

/// One explained image.
struct Card {
  std::int64_t index = 0;
  std::string label, predicted, target;
  std::vector<Picture> pictures;
};

/// What was explained.
struct PageHead {
  std::string model, dataset, layer;
};

/// Writes an HTML page of the cards, without scripts and without anything from elsewhere.
/// Throws Error if it cannot be written.
void write_index_page(const std::filesystem::path& file,
                      const PageHead& head,
                      const std::vector<Card>& cards);

}  // namespace clx::app
