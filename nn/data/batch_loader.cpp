#include "nn/data/batch_loader.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "nn/data/device_images.h"
#include "nn/data/pk_order.h"
#include "nn/data/prefetcher.h"
#include "runtime/check.h"
#include "runtime/ops/gather.h"
#include "runtime/ops/join.h"
#include "runtime/staging.h"
#include "runtime/step.h"

namespace clx::data {
namespace {

std::unique_ptr<Order> make_order(const Dataset& set, const BatchOptions& o) {
  if (o.classes_per_batch == 0)
    return std::make_unique<EpochOrder>(set.size(), o.batch_size, o.seed, o.order);
  CLX_CHECK(o.classes_per_batch > 0 && o.batch_size % o.classes_per_batch == 0,
            "loader: expected a batch size that is a multiple of the batch's ", o.classes_per_batch,
            " classes, got ", o.batch_size);
  return std::make_unique<PkOrder>(set.labels, set.class_names, o.seed,
                                   PkOptions{.classes = o.classes_per_batch,
                                             .images = static_cast<int>(o.batch_size) / o.classes_per_batch,
                                             .shares = o.order.shares,
                                             .share = o.order.share});
}

}  // namespace

struct BatchLoader::State {
  State(const Dataset& set, const BatchOptions& o)
      : options(o),
        labels(set.label_tensor().to(o.device)),
        ids(o.device),
        pixels(o.device),
        order(make_order(set, o)),
        step(o.device) {
    CLX_CHECK(o.views >= 1, "loader: expected at least one view, got ", o.views);
    AugmentOptions& augment = options.augment;
    if (augment.mean.empty()) augment.mean = set.mean;
    if (augment.std.empty()) augment.std = set.std;
    augment_rule(augment);  // refuses what is out of range before a thread meets it
    if (!set.source) {
      images.emplace(set.images, o.device, o.most_on_device);
      return;
    }
    prefetcher = std::make_unique<Prefetcher>(
        set,
        PrefetchOptions{
            .views = o.views, .augment = augment, .seed = o.seed, .workers = o.workers, .on_bad = o.on_bad});
    // The loader threads have cropped and resized.
    augment.resized_crop.reset();
    augment.height = augment.width = 0;
  }

  void restart(std::int64_t first) {
    prefetcher->start(epoch, first, order->batches(), [this](std::int64_t b) { return order->batch(b); });
    upcoming = first;
  }

  // The pixels of a batch on the device, and a word on those that were replaced.
  Tensor read(std::int64_t index, std::int64_t* replaced) {
    if (upcoming != index) restart(index);
    upcoming.reset();  // should it throw
    Prefetcher::Images read = prefetcher->take();
    upcoming = index + 1;
    *replaced = static_cast<std::int64_t>(read.bad_images.size());
    for (std::string& why : read.bad_images)
      if (std::ranges::find(bad_images, why) == bad_images.end()) bad_images.push_back(std::move(why));
    if (options.device.kind == DeviceKind::cpu) return read.pixels;
    return pixels.send(read.pixels.shape(), DType::u8, [&](void* to) {
      std::memcpy(to, read.pixels.data<std::uint8_t>(), read.pixels.bytes());
    });
  }

  BatchOptions options;
  std::optional<DeviceImages> images;  // of a set without a source
  Tensor labels;
  Staging ids, pixels;
  std::unique_ptr<Order> order;
  Step step;
  int epoch = 0;
  std::vector<std::string> bad_images;
  std::optional<std::int64_t> upcoming;    // the batch that the prefetcher gives next
  std::unique_ptr<Prefetcher> prefetcher;  // last: its threads read the order
};

BatchLoader::BatchLoader(const Dataset& set, const BatchOptions& options)
    : state_(std::make_unique<State>(set, options)) {
  start_epoch(0);
}
BatchLoader::~BatchLoader() = default;
BatchLoader::BatchLoader(BatchLoader&&) noexcept = default;
BatchLoader& BatchLoader::operator=(BatchLoader&&) noexcept = default;

void BatchLoader::start_epoch(int epoch) {
  State& s = *state_;
  const bool begun_already = s.upcoming == 0 && s.epoch == epoch;
  next_ = 0;
  if (begun_already) return;
  if (s.prefetcher) s.prefetcher->start(epoch, 0, 0, {});  // its threads no longer ask for the old order
  s.upcoming.reset();
  s.order->start_epoch(epoch);
  s.step.set_key(s.options.seed, epoch);
  s.epoch = epoch;
  if (s.prefetcher && s.order->batches() > 0) s.restart(0);
}

std::int64_t BatchLoader::batches() const {
  return state_->order->batches();
}

const std::vector<std::string>& BatchLoader::bad_images() const {
  return state_->bad_images;
}

BatchFeed BatchLoader::feed(std::int64_t index) {
  State& s = *state_;
  BatchFeed feed;
  feed.samples = s.order->batch(index);
  feed.tensors.push_back(send_ids(s.ids, feed.samples));
  if (s.prefetcher)
    feed.tensors.push_back(s.read(index, &feed.replaced));
  else if (!s.images->kept())
    feed.tensors.push_back(s.images->rows(feed.samples));
  next_ = index + 1;
  return feed;
}

LabelledImages BatchLoader::make(const std::vector<Tensor>& feed) const {
  const State& s = *state_;
  const Tensor& ids = feed[0];
  const std::int64_t N = ids.dim(0);
  std::vector<Tensor> images, labels(static_cast<std::size_t>(s.options.views), gather_labels(s.labels, ids));
  for (int view = 0; view < s.options.views; ++view) {
    if (feed.size() == 1) {
      images.push_back(augment_images(s.images->all(), ids, s.step, s.options.augment, view));
      continue;
    }
    // Read for each view, or the same images for all.
    const Tensor pixels = s.prefetcher ? feed[1].slice(view * N, (view + 1) * N) : feed[1];
    images.push_back(augment_batch(pixels, ids, s.step, s.options.augment, view));
  }
  return {join(images), join(labels)};
}

Batch BatchLoader::batch(std::int64_t index) {
  BatchFeed fed = feed(index);
  return {make(fed.tensors), std::move(fed.samples), fed.replaced};
}

}  // namespace clx::data
