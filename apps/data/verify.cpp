#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <iostream>
#include <numeric>

#include "apps/data/commands.h"
#include "apps/support/exit_code.h"
#include "nn/data/pack.h"
#include "nn/data/workers.h"

namespace clx::app {
namespace {

// What one image shows.
struct Found {
  int height = 0, width = 0;
  std::array<double, 3> mean{};  // of pixels in [0,1]
  double object = 0;             // share of the mask
  std::string bad;
};

std::array<double, 3> mean_of(const std::uint8_t* pixels, std::int64_t count) {
  std::array<std::int64_t, 3> sum{};
  for (std::int64_t i = 0; i < count; ++i)
    for (std::size_t c = 0; c < 3; ++c)
      sum[c] += pixels[3 * i + static_cast<std::int64_t>(c)];
  std::array<double, 3> mean{};
  for (std::size_t c = 0; c < 3; ++c)
    mean[c] = static_cast<double>(sum[c]) / 255 / static_cast<double>(count);
  return mean;
}

double object_share(const io::ImageView& mask) {
  const std::int64_t count = std::int64_t{mask.height} * mask.width;
  std::int64_t object = 0;
  for (const std::uint8_t* p = mask.pixels; p < mask.pixels + count * mask.channels; p += mask.channels)
    object += std::any_of(p, p + mask.channels, [](std::uint8_t v) { return v != 0; });
  return static_cast<double>(object) / static_cast<double>(count);
}

// Resident sets hold what their files do; of a source every image and mask is read.
std::vector<Found> look_at(const data::Dataset& set, int workers) {
  std::vector<Found> found(static_cast<std::size_t>(set.size()));
  data::for_each_image(set.size(), workers, [&](std::int64_t i, data::ImageSource::Memory& memory) {
    Found& f = found[static_cast<std::size_t>(i)];
    if (!set.source) {
      const std::int64_t H = set.images.dim(1), W = set.images.dim(2);
      f.height = static_cast<int>(H);
      f.width = static_cast<int>(W);
      f.mean = mean_of(set.images.data<std::uint8_t>() + i * H * W * 3, H * W);
      if (set.masks.defined())
        f.object = object_share({f.width, f.height, 1, set.masks.data<std::uint8_t>() + i * H * W});
      return;
    }
    try {
      const io::ImageView image = set.source->read(i, memory);
      f.height = image.height;
      f.width = image.width;
      f.mean = mean_of(image.pixels, std::int64_t{image.height} * image.width);
      if (set.source->has_masks())
        f.object = object_share(data::read_mask_of_size(*set.source, i, {f.height, f.width}, memory));
    } catch (const DataError& error) {
      f.bad = error.what();
    }
  });
  return found;
}

std::string size_text(const std::vector<Found>& found) {
  const auto [low_h, high_h] = std::ranges::minmax(found, {}, &Found::height);
  const auto [low_w, high_w] = std::ranges::minmax(found, {}, &Found::width);
  const auto range = [](int low, int high) {
    return low == high ? fmt::format("{}", low) : fmt::format("{}…{}", low, high);
  };
  return range(low_h.height, high_h.height) + "×" + range(low_w.width, high_w.width);
}

// Prints a line on what is good, and names on stderr what is not. Returns how many are bad.
std::int64_t report(const data::Dataset& set, const char* split, std::vector<Found> found) {
  std::vector<std::int64_t> per_class(set.class_names.size());
  for (std::size_t i = 0; i < found.size(); ++i)
    if (found[i].bad.empty())
      ++per_class[static_cast<std::size_t>(set.labels[i])];
    else
      std::cerr << "bad image: " << found[i].bad << '\n';
  const auto bad =
      static_cast<std::int64_t>(std::erase_if(found, [](const Found& f) { return !f.bad.empty(); }));
  if (found.empty()) return bad;
  const bool masked = set.masks.defined() || (set.source && set.source->has_masks());
  std::array<double, 3> mean{};
  double object = 0;
  for (const Found& f : found) {
    for (std::size_t c = 0; c < 3; ++c)
      mean[c] += f.mean[c] / static_cast<double>(found.size());
    object += f.object / static_cast<double>(found.size());
  }
  std::cout << fmt::format(
      "{} {}: {} images of {}, {} … {} per class, channel means {:.4f} {:.4f} {:.4f}{}{}\n", set.name, split,
      found.size(), size_text(found), *std::ranges::min_element(per_class),
      *std::ranges::max_element(per_class), mean[0], mean[1], mean[2],
      masked ? fmt::format(", with masks ({:.1f} % object)", 100 * object) : "",
      bad > 0 ? fmt::format(", and {} bad ones", bad) : "");
  return bad;
}

}  // namespace

int verify(const DataSettings& s) {
  if (s.data.dataset == "packed" && !s.data.data_dir.empty())
    data::verify_pack(s.data.data_dir, s.data.workers);
  const std::array sets{list_data(s.data, data::Split::train), list_data(s.data, data::Split::test)};
  std::cout << fmt::format("{}: {} classes: {}\n", sets[0].name, sets[0].class_names.size(),
                           fmt::join(sets[0].class_names, ", "));
  std::int64_t bad = 0;
  bad += report(sets[0], "train", look_at(sets[0], s.data.workers));
  bad += report(sets[1], "test", look_at(sets[1], s.data.workers));
  CLX_CHECK_DATA(bad == 0 || s.data.on_bad_image == data::OnBadImage::skip, "verify: ", sets[0].name, " has ",
                 bad, " images that cannot be used; --on-bad-image skip goes on without them");
  return ok;
}

}  // namespace clx::app
