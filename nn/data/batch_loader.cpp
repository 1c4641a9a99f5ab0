#include "nn/data/batch_loader.h"

#include <utility>

#include "runtime/check.h"
#include "runtime/step.h"

namespace clx::data {
namespace {

// The views of a sample are drawn from different keys.
std::uint64_t seed_of_view(std::uint64_t seed, int view) {
  return seed ^ static_cast<std::uint64_t>(view) * 0x9e3779b97f4a7c15ull;
}

}  // namespace

struct BatchLoader::State {
  State(const Dataset& set, const BatchOptions& o)
      : options(o),
        images(set.images.to(o.device)),
        labels(set.label_tensor().to(o.device)),
        order(set.size(), o.batch_size, o.seed, o.order) {
    CLX_CHECK(o.views >= 1, "loader: expected at least one view, got ", o.views);
    if (options.augment.mean.empty()) options.augment.mean = set.mean;
    if (options.augment.std.empty()) options.augment.std = set.std;
    for (int view = 0; view < o.views; ++view)
      steps.emplace_back(o.device);
  }

  BatchOptions options;
  Tensor images, labels;
  EpochOrder order;
  std::vector<Step> steps;  // one per view
};

BatchLoader::BatchLoader(const Dataset& set, const BatchOptions& options)
    : state_(std::make_unique<State>(set, options)) {
  start_epoch(0);
}
BatchLoader::~BatchLoader() = default;
BatchLoader::BatchLoader(BatchLoader&&) noexcept = default;
BatchLoader& BatchLoader::operator=(BatchLoader&&) noexcept = default;

void BatchLoader::start_epoch(int epoch) {
  state_->order.start_epoch(epoch);
  for (std::size_t view = 0; view < state_->steps.size(); ++view)
    state_->steps[view].set_key(seed_of_view(state_->options.seed, static_cast<int>(view)), epoch);
  next_ = 0;
}

std::int64_t BatchLoader::batches() const {
  return state_->order.batches();
}

Batch BatchLoader::batch(std::int64_t index) {
  const State& s = *state_;
  Batch batch;
  batch.samples = s.order.batch(index);
  next_ = index + 1;
  const auto N = static_cast<std::int64_t>(batch.samples.size());
  const auto views = static_cast<std::int64_t>(s.steps.size());
  std::vector<std::int64_t> repeated;
  for (std::int64_t view = 0; view < views; ++view)
    repeated.insert(repeated.end(), batch.samples.begin(), batch.samples.end());
  const Tensor ids = Tensor::from_host({views * N}, repeated, s.options.device);
  batch.labels = gather_labels(s.labels, ids);
  const std::int64_t H = s.images.dim(1), W = s.images.dim(2), C = s.images.dim(3);
  if (views == 1) {
    batch.images = gather_images(s.images, ids, s.steps[0], s.options.augment);
    return batch;
  }
  // Views are made one after the other and joined on the host.
  std::vector<float> joined;
  for (std::int64_t view = 0; view < views; ++view) {
    const Tensor part = gather_images(s.images, ids.slice(view * N, (view + 1) * N),
                                      s.steps[static_cast<std::size_t>(view)], s.options.augment);
    const std::vector<float> values = part.to_host();
    joined.insert(joined.end(), values.begin(), values.end());
  }
  batch.images = Tensor::from_host({views * N, H, W, C}, joined, s.options.device);
  return batch;
}

}  // namespace clx::data
