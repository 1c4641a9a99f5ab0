// Batches for training: order, augmentation and normalisation of a data set's images.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "nn/data/dataset.h"
#include "nn/data/image_source.h"
#include "nn/data/loader.h"
#include "runtime/ops/augment.h"

namespace clx::data {

struct LabelledImages {
  Tensor images;  // (views·N,H,W,C): all of view 1, then all of view 2
  Tensor labels;  // (views·N) i32, in the same order
};

struct Batch : LabelledImages {
  std::vector<std::int64_t> samples;  // the N ids
  std::int64_t replaced = 0;          // how many of them show the next image of their class that can be read
};

/// What a batch is made of, on the device.
struct BatchFeed {
  std::vector<Tensor> tensors;  // ids (N) i64; then pixels, if the device does not keep them
  std::vector<std::int64_t> samples;
  std::int64_t replaced = 0;
};

struct BatchOptions {
  std::int64_t batch_size = 128;  // samples; a batch holds views·batch_size images
  int views = 1;                  // independently augmented copies of each sample
  OrderOptions order{};
  int classes_per_batch = 0;  // P; above 0: PK sampling with K = batch_size/P (nn/data/pk_order.h)
  AugmentOptions augment{};   // empty mean and std: the data set's; height and width: left to the data set
  std::uint64_t seed = 0;     // of order and augmentation
  Device device = kCpu;
  int workers = 0;  // loader threads of a set that is read from files; 0: as many as compute
  OnBadImage on_bad = OnBadImage::fail;
  std::optional<std::int64_t>
      most_on_device{};  // bytes of images that are kept there (nn/data/device_images.h)
};

/// Batches on the device, normalised, in the type that `augment` asks for. Resident images are augmented on
/// the device, which keeps them all if they fit; those of a source are decoded, cropped and resized by loader
/// threads with Pillow's bytes, and mirrored, coloured, blurred and normalised on the device.
///
/// Notes   An image of a batch is a function of (seed, epoch, sample, view) alone: not of the batch size, the
///         device, the number of threads, the batches before or where the images are kept. A batch is queued:
///         ids, and pixels that the device does not keep, are copied from page-locked memory, and nobody
///         waits.
/// Throws  Error if a size is out of range or the options do not fit the images
class BatchLoader {
 public:
  /// Begins with epoch 0.
  BatchLoader(const Dataset& set, const BatchOptions& options);
  ~BatchLoader();
  BatchLoader(BatchLoader&&) noexcept;
  BatchLoader& operator=(BatchLoader&&) noexcept;

  void start_epoch(int epoch);
  /// Batches per epoch; 0 if the order leaves none.
  std::int64_t batches() const;
  /// Any batch 0 … batches() − 1 of this epoch. In order is fastest. Throws Error outside, and DataError
  /// naming the file if an image cannot be read and `on_bad` is fail.
  Batch batch(std::int64_t index);
  /// The same in halves: what the host has a part in, and what the device does by itself, in the epoch that
  /// it is in then; a graph may capture that (runtime/graph.h).
  BatchFeed feed(std::int64_t index);
  LabelledImages make(const std::vector<Tensor>& feed) const;
  /// The one after that of the last call; batch 0 first.
  Batch next() { return batch(next_); }

  /// Why images could not be read, each once, in the order in which they were met since the loader was made.
  const std::vector<std::string>& bad_images() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
  std::int64_t next_ = 0;
};

}  // namespace clx::data
