#include <algorithm>
#include <fmt/format.h>
#include <iostream>

#include "apps/data/commands.h"
#include "apps/support/exit_code.h"
#include "apps/support/output_folder.h"
#include "apps/support/progress.h"
#include "runtime/io/csv.h"
#include "runtime/io/image.h"

namespace clx::app {
namespace {

namespace fs = std::filesystem;

io::Image image_of(const Tensor& pixels, int channels) {
  return {static_cast<int>(pixels.dim(1)), static_cast<int>(pixels.dim(0)), channels,
          pixels.to_host<std::uint8_t>()};
}

}  // namespace

int export_images(const DataSettings& s) {
  data::Dataset set = load_data(s.data, s.split);
  if (set.source) data::make_resident(&set, s.data.workers, s.data.on_bad_image);
  make_output_folder(s.output_dir);
  const std::int64_t H = set.images.dim(1), W = set.images.dim(2), C = set.images.dim(3);
  for (const std::string& name : set.class_names)
    for (const char* folder : {"images", "masks"})
      if (set.masks.defined() || folder == std::string("images"))
        fs::create_directories(s.output_dir / folder / name);
  io::CsvWriter labels(s.output_dir / "labels.csv", {"file", "class", "label"});
  Progress progress("export", set.size(), {.quiet = s.quiet});
  for (std::int64_t i = 0; i < set.size(); ++i) {
    const std::int32_t label = set.labels[static_cast<std::size_t>(i)];
    const std::string& name = set.class_names[static_cast<std::size_t>(label)];
    const fs::path file = fs::path(name) / fmt::format("{:06}.png", i);
    io::write_png(s.output_dir / "images" / file,
                  image_of(set.images.slice(i, i + 1).reshape({H, W, C}), static_cast<int>(C)));
    if (set.masks.defined()) {
      io::Image mask = image_of(set.masks.slice(i, i + 1).reshape({H, W}), 1);
      std::ranges::transform(mask.pixels, mask.pixels.begin(), [](std::uint8_t m) { return m ? 255 : 0; });
      io::write_png(s.output_dir / "masks" / file, mask);
    }
    labels.row({("images" / file).string(), name, label});
    progress.update(i + 1);
  }
  labels.commit();
  progress.finish();
  std::cout << fmt::format("{} images of {} classes in {}\n", set.size(), set.class_names.size(),
                           s.output_dir.string());
  return ok;
}

}  // namespace clx::app
