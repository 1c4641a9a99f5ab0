// The data set that a program works on, as its options name it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "apps/support/options.h"
#include "nn/data/dataset.h"
#include "nn/data/device_images.h"
#include "nn/data/image_source.h"
#include "nn/models/model.h"
#include "runtime/ops/augment.h"
#include "runtime/staging.h"
#include "runtime/step.h"

namespace clx::app {

/// Which images: the built-in shapes or files on disk.
struct DataOptions {
  std::string dataset = "shapes";
  std::filesystem::path data_dir{};        // a folder; of packed: the file
  std::vector<std::string> train_files{};  // of cifar10; empty: all five
  std::optional<int> image_size{};         // of shapes (32), folder (224) and packed (its own)
  std::int64_t train_samples = 4000;       // of shapes
  std::int64_t test_samples = 1000;        // of shapes
  std::uint64_t data_seed = 0;             // of shapes, and of the split of a folder
  std::int64_t limit = 0;                  // at most this many images, 0: all
  // Of folder and packed:
  double test_fraction = 0.2;          // where the folder does not say what is for testing
  std::filesystem::path masks_dir{};   // empty: as the layout has it
  std::string mask_format = "binary";  // or imagenet-s
  bool reference_masks = false;        // as the published evaluation reads them
  std::optional<int> test_resize{};    // shorter side before the middle is cut out; default: 8/7 image_size
  int workers = 0;                     // loader threads; 0: as many as compute
  data::OnBadImage on_bad_image = data::OnBadImage::fail;
};

/// Declares --dataset, --data-dir, … in the group "Data".
void add_data_options(Options& options, DataOptions* data);

/// Those of them that say which images, for a program that takes over another's.
std::vector<std::string> data_option_names();

/// The test split is resident; a training split may be read when it is needed (nn/data/batch_loader.h,
/// Batches). Says on stderr which images were left out because they could not be read. Throws DataError if
/// files are missing or damaged, UsageError if --data-dir is missing.
data::Dataset load_data(const DataOptions& options, data::Split split);

/// The same without reading an image: of folder and packed both splits have a source.
data::Dataset list_data(const DataOptions& options, data::Split split);

/// A data set on a device, and its images as the model wants them.
class Batches {
 public:
  /// The images are normalised as those the model was trained on. The device keeps them all if they fit
  /// (nn/data/device_images.h).
  Batches(const data::Dataset& set,
          Device device,
          const nn::Model& model,
          std::optional<std::int64_t> most_on_device = {});

  /// Images begin … end − 1, normalised, not augmented.
  Tensor images(std::int64_t begin, std::int64_t end);
  std::int64_t size() const { return set_.size(); }
  /// What images are normalised with, per channel.
  const std::vector<float>& mean() const { return as_is_.mean; }
  const std::vector<float>& std() const { return as_is_.std; }

 private:
  data::Dataset set_;
  std::optional<data::DeviceImages> images_;  // of a set without a source
  Staging ids_;
  Step step_;
  AugmentOptions as_is_;
};

}  // namespace clx::app
