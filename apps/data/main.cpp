// clx-data: exports the built-in shapes as files and verifies data sets.
#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <iostream>

#include "apps/support/options.h"
#include "apps/support/output_folder.h"
#include "apps/support/program.h"
#include "apps/support/progress.h"
#include "apps/support/workload.h"
#include "runtime/io/csv.h"
#include "runtime/io/image.h"

namespace clx::app {
namespace {

namespace fs = std::filesystem;

struct Settings {
  std::string command;
  DataOptions data;
  data::Split split = data::Split::test;
  fs::path output_dir = "shapes";
  bool quiet = false;
};

io::Image image_of(const Tensor& pixels, int channels) {
  return {static_cast<int>(pixels.dim(1)), static_cast<int>(pixels.dim(0)), channels,
          pixels.to_host<std::uint8_t>()};
}

// images/<class>/<index>.png, masks/<class>/<index>.png (0 and 255), labels.csv.
int export_images(const Settings& s) {
  const data::Dataset set = load_data(s.data, s.split);
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

// Loading already checks sizes and labels; this says what was found.
int verify(const Settings& s) {
  for (const auto& [name, split] :
       {std::pair{"train", data::Split::train}, std::pair{"test", data::Split::test}}) {
    const data::Dataset set = load_data(s.data, split);
    std::vector<std::int64_t> per_class(set.class_names.size());
    for (const std::int32_t label : set.labels)
      ++per_class[static_cast<std::size_t>(label)];
    const auto C = static_cast<std::size_t>(set.images.dim(3));
    std::vector<double> sum(C);
    const std::uint8_t* pixels = set.images.data<std::uint8_t>();
    for (std::int64_t i = 0; i < set.images.size(); ++i)
      sum[static_cast<std::size_t>(i) % C] += pixels[i];
    std::string means;
    for (const double total : sum)
      means +=
          fmt::format(" {:.4f}", total / 255 / static_cast<double>(set.images.size() / set.images.dim(3)));
    std::cout << fmt::format("{} {}: {} images of {}×{}, {} … {} per class, channel means{}{}\n", set.name,
                             name, set.size(), set.images.dim(1), set.images.dim(2),
                             *std::ranges::min_element(per_class), *std::ranges::max_element(per_class),
                             means, set.masks.defined() ? ", with masks" : "");
  }
  return ok;
}

int main_of_data(int argc, char** argv) {
  Settings s;
  Options options("clx-data",
                  "export: writes a data set as PNG files with masks and labels.csv. verify: checks a data "
                  "set and says what it holds.");
  options.positional("command", &s.command, "export or verify").choices({"export", "verify"}).required();
  add_data_options(options, &s.data);
  options.group("Export");
  options.add("split", &s.split, {{"train", data::Split::train}, {"test", data::Split::test}},
              "which images");
  options.add("output-dir", &s.output_dir, "folder for the files");
  options.add("quiet", &s.quiet, "no progress");
  if (const auto code = options.parse(argc, argv)) return *code;
  return s.command == "export" ? export_images(s) : verify(s);
}

}  // namespace
}  // namespace clx::app

int main(int argc, char** argv) {
  return clx::app::run_program(argc, argv, clx::app::main_of_data);
}
