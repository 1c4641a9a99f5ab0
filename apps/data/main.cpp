// clx-data: exports data sets as files, verifies them, and packs folders of images.
#include "apps/data/commands.h"
#include "apps/support/options.h"
#include "apps/support/program.h"

namespace clx::app {
namespace {

int main_of_data(int argc, char** argv) {
  DataSettings s;
  Options options(
      "clx-data",
      "export: writes a data set as PNG files with masks and labels.csv. verify: reads a data set and "
      "says what it holds. pack: decodes a folder of images into one file that training maps.");
  options.positional("command", &s.command, "export, verify or pack")
      .choices({"export", "verify", "pack"})
      .required();
  add_data_options(options, &s.data);
  options.group("Export");
  options.add("split", &s.split, {{"train", data::Split::train}, {"test", data::Split::test}},
              "which images");
  options.add("output-dir", &s.output_dir, "folder for the files");
  options.group("Pack");
  options.add("output", &s.output, "packed file to write, such as photos.clxpack");
  options
      .add("pack-size", &s.pack_size,
           "shorter side of the packed images (0: as decoded); the --test-resize of later runs gives the "
           "same test "
           "images as the files")
      .range(0, 8192);
  options.add("pack-square", &s.pack_square, "cut out the middle of pack-size×pack-size");
  options.group("Output");
  options.add("quiet", &s.quiet, "no progress");
  if (const auto code = options.parse(argc, argv)) return *code;
  if (s.command == "export") return export_images(s);
  return s.command == "pack" ? pack(s) : verify(s);
}

}  // namespace
}  // namespace clx::app

int main(int argc, char** argv) {
  return clx::app::run_program(argc, argv, clx::app::main_of_data);
}
