// What clx-data does.
#pragma once

#include <filesystem>
#include <string>

#include "apps/support/data_options.h"

namespace clx::app {

struct DataSettings {
  std::string command;
  DataOptions data;
  data::Split split = data::Split::test;
  std::filesystem::path output_dir = "shapes";
  std::filesystem::path output;  // of pack
  int pack_size = 0;
  bool pack_square = false;
  bool quiet = false;
};

/// images/<class>/<index>.png, masks/<class>/<index>.png (0 and 255), labels.csv.
int export_images(const DataSettings& settings);
/// Reads everything and says what it found; bad images are named, and then the exit code is bad_data, unless
/// they are to be skipped.
int verify(const DataSettings& settings);
/// Both splits of a folder into one packed file.
int pack(const DataSettings& settings);

}  // namespace clx::app
