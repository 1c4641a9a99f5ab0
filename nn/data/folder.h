// Data sets of image files in class folders.
#pragma once

#include <cstdint>
#include <filesystem>

#include "nn/data/dataset.h"

namespace clx::data {

struct FolderOptions {
  Square square{};
  double test_fraction = 0.2;         // of each class, where the folder does not say what is for testing
  std::uint64_t seed = 0;             // of that choice
  std::filesystem::path masks_dir{};  // empty: as the layout has it
};

/// Lists the .jpg, .jpeg and .png files (of any case) under the class folders of `folder`; the classes are
/// the folders' names in byte order, and the images come class by class in the order of their paths. Nothing
/// is decoded yet. Layouts, the first that fits:
///
///   train/<class>/…  and  test/, val/ or validation/<class>/…   masks: <split>-masks/<class>/<stem>.png
///   images/<class>/…                                            masks: masks/<class>/<stem>.png
///   <class>/…
///
/// In the last two a share of each class, drawn by `seed`, is the test split.
///
/// Throws  DataError if there is no such folder, class folder or split, a class has no images, the test
///         split has a class that the training split has not, or some images of a split have masks and some
///         have not
/// Notes   Hidden files and folders are ignored. Mean and standard deviation are those of ImageNet.
Dataset load_folder(const std::filesystem::path& folder, Split split, const FolderOptions& options = {});

}  // namespace clx::data
