// Folders of small images for tests.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/io/image.h"
#include "runtime/random.h"

namespace clx::tests {

/// Random pixels; the same for the same seed.
inline io::Image noise(int width, int height, std::uint64_t seed, int channels = 3) {
  io::Image image{width, height, channels, {}};
  Random random(seed, Purpose::test);
  for (int i = 0; i < width * height * channels; ++i)
    image.pixels.push_back(static_cast<std::uint8_t>(random.below(256)));
  return image;
}

/// Without the syncs of io::write_file, which cost more than the tests.
inline void write_text(const std::filesystem::path& path, std::string_view text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary).write(text.data(), static_cast<std::streamsize>(text.size()));
}

inline void write_image(const std::filesystem::path& path, const io::Image& image) {
  const std::vector<std::uint8_t> png = io::encode_png(image);
  write_text(path, {reinterpret_cast<const char*>(png.data()), png.size()});
}

/// A mask whose left half is the object.
inline void write_half_mask(const std::filesystem::path& path, int width, int height) {
  io::Image mask{width, height, 1, {}};
  for (int i = 0; i < width * height; ++i)
    mask.pixels.push_back(i % width < width / 2 ? 255 : 0);
  write_image(path, mask);
}

/// images/<class>/<i>.png of `per_class` images of 20…27 × 18 pixels, and their masks: classes cat, dog, emu.
inline void write_photos(const std::filesystem::path& folder, int per_class, bool masks = true) {
  std::uint64_t seed = 0;
  for (const char* name : {"cat", "dog", "emu"})
    for (int i = 0; i < per_class; ++i, ++seed) {
      const std::string file = std::string(name) + "/" + std::to_string(i) + ".png";
      const int width = 20 + static_cast<int>(seed % 8);
      write_image(folder / "images" / file, noise(width, 18, seed));
      if (masks) write_half_mask(folder / "masks" / file, width, 18);
    }
}

}  // namespace clx::tests
