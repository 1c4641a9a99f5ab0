// Batches out of a folder of photos: from the files, and from the packed set of the same images.
#include <fmt/format.h>
#include <memory>
#include <unistd.h>

#include "apps/bench/case.h"
#include "nn/data/batch_loader.h"
#include "nn/data/folder.h"
#include "nn/data/pack.h"
#include "runtime/check.h"

namespace clx::app {
namespace {

constexpr std::int64_t kBatch = 50;

// The batches of one epoch after the other.
class Endless {
 public:
  Endless(const data::Dataset& set, const data::BatchOptions& options) : loader_(set, options) {}

  data::Batch next() {
    if (at_ == loader_.batches()) {
      loader_.start_epoch(++epoch_);
      at_ = 0;
    }
    ++at_;
    return loader_.next();
  }

 private:
  data::BatchLoader loader_;
  int epoch_ = 0;
  std::int64_t at_ = 0;
};

data::BatchOptions options_of(Device device, int views, const AugmentOptions& augment) {
  return {.batch_size = kBatch, .views = views, .augment = augment, .seed = 1, .device = device};
}

// Checked against one loader thread.
Workload batches(const data::Dataset& set, const data::BatchOptions& options) {
  const auto loader = std::make_shared<Endless>(set, options);
  return {[loader] { loader->next(); },
          [set, options] {
            data::BatchOptions alone = options;
            alone.workers = 1;
            const auto expected = Endless(set, alone).next().images.to_host();
            CLX_CHECK(Endless(set, options).next().images.to_host() == expected,
                      "batches: expected the same images from any number of threads");
          }};
}

// In memory by way of a mapping; the file itself is gone when this returns.
data::Dataset packed(const std::filesystem::path& folder) {
  const std::filesystem::path file =
      std::filesystem::temp_directory_path() / fmt::format("clx-bench-{}.clxpack", ::getpid());
  data::write_pack(file, data::load_folder(folder, data::Split::train),
                   data::load_folder(folder, data::Split::test), {});
  data::Dataset set = data::load_pack(file, data::Split::train, {.side = 224});
  std::filesystem::remove(file);
  return set;
}

}  // namespace

std::vector<Case> data_cases(Device device, const std::filesystem::path& folder) {
  std::vector<Case> cases;
  if (folder.empty()) return cases;
  const ResizedCrop any{}, large{.scale_low = 0.2};
  const AugmentOptions crop_flip{.resized_crop = any, .flip = true};
  const AugmentOptions contrastive{
      .resized_crop = large,
      .flip = true,
      .jitter = ColorJitter{.brightness = 0.4f, .contrast = 0.4f, .saturation = 0.4f, .hue = 0.1f},
      .grayscale = 0.2f};
  const auto add = [&](const std::string& what, int views, const AugmentOptions& augment, auto load) {
    AugmentOptions sized = augment;
    if (sized.resized_crop) sized.height = sized.width = 224;
    const data::BatchOptions options = options_of(device, views, sized);
    const double bytes = static_cast<double>(views * kBatch) * 224 * 224 * 3 * 4;
    cases.push_back({.name = fmt::format("{}/{}/{}x{}", what, concat(device), kBatch, views),
                     .bound = Bound::memory,
                     .dtype = DType::f32,
                     .bytes = bytes,
                     .images = static_cast<double>(kBatch * views),
                     .prepare = [=] { return batches(load(folder), options); }});
  };
  const auto files = [](const std::filesystem::path& from) {
    return data::load_folder(from, data::Split::train);
  };
  add("files_crop_flip", 1, crop_flip, files);
  add("files_contrastive", 1, contrastive, files);
  add("files_contrastive", 2, contrastive, files);
  add("files_resize_centre", 1, {}, files);
  add("packed_crop_flip", 1, crop_flip, packed);
  add("packed_contrastive", 2, contrastive, packed);
  return cases;
}

}  // namespace clx::app
