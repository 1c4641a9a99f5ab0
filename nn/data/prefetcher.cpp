#include "nn/data/prefetcher.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "nn/data/workers.h"
#include "runtime/check.h"

namespace clx::data {

// Threads take images from the oldest batch that has some left; batches are handed out in order.
class Prefetcher::Team {
 public:
  Team(const Dataset& set, const PrefetchOptions& options) : set_(set), options_(options) {
    set_.images = Tensor();
    for (int t = 0; t < worker_count(options.workers); ++t)
      threads_.emplace_back([this] { work(); });
  }
  ~Team() {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    }
    to_do_.notify_all();
  }

  void start(int epoch, std::int64_t first, std::int64_t batches, Order order) {
    std::unique_lock lock(mutex_);
    next_ = batches_ = 0;  // nothing more is begun
    for (Batch& batch : under_way_)
      batch.begun = batch.count();
    done_.wait(lock, [&] { return busy_ == 0; });
    under_way_.clear();
    epoch_ = epoch;
    next_ = first;
    batches_ = batches;
    order_ = std::move(order);
    begin_batches();
  }

  Images take() {
    std::unique_lock lock(mutex_);
    CLX_CHECK(!under_way_.empty(), "loader: expected a batch within the epoch, got none left");
    done_.wait(lock, [&] { return under_way_.front().finished == under_way_.front().count(); });
    Batch batch = std::move(under_way_.front());
    under_way_.pop_front();
    if (!batch.errors.empty()) std::rethrow_exception(batch.errors.begin()->second);
    begin_batches();
    for (auto& [place, why] : batch.bad)
      batch.images.bad_images.push_back(std::move(why));
    return std::move(batch.images);
  }

 private:
  struct Batch {
    Images images;
    std::uint8_t* pixels = nullptr;
    std::int64_t begun = 0, finished = 0;
    std::map<std::int64_t, std::string> bad;
    std::map<std::int64_t, std::exception_ptr> errors;
    std::int64_t count() const { return static_cast<std::int64_t>(images.samples.size()); }
  };

  // With the lock held: as many batches as are to be in the making.
  void begin_batches() {
    const std::int64_t side = set_.square.side;
    while (next_ < batches_ && static_cast<int>(under_way_.size()) < options_.ahead) {
      Batch batch;
      batch.images.samples = order_(next_++);
      batch.images.pixels = Tensor({options_.views * batch.count(), side, side, 3}, kCpu, DType::u8);
      batch.pixels = batch.images.pixels.mutable_data<std::uint8_t>();
      under_way_.push_back(std::move(batch));
    }
    to_do_.notify_all();
  }

  Batch* with_work() {
    for (Batch& batch : under_way_)
      if (batch.begun < batch.count()) return &batch;
    return nullptr;
  }

  void work() {
    ImageSource::Memory memory;
    std::unique_lock lock(mutex_);
    for (;;) {
      Batch* batch = nullptr;  // stays in its place in the deque until it is finished
      to_do_.wait(lock, [&] { return ended_ || (batch = with_work()) != nullptr; });
      if (ended_) return;
      const std::int64_t place = batch->begun++;
      ++busy_;
      lock.unlock();
      std::string bad;
      std::exception_ptr error;
      try {
        bad = make(*batch, place, memory);
      } catch (...) {
        error = std::current_exception();
      }
      lock.lock();
      --busy_;
      ++batch->finished;
      if (!bad.empty()) batch->bad[place] = std::move(bad);
      if (error) batch->errors[place] = error;
      done_.notify_all();
    }
  }

  // All views of one image. Returns why the image was replaced, if it was.
  std::string make(const Batch& batch, std::int64_t place, ImageSource::Memory& memory) const {
    const std::int64_t sample = batch.images.samples[static_cast<std::size_t>(place)];
    std::string bad;
    for (std::int64_t i = sample;;) {
      try {
        draw_views(i, sample, batch, place, memory);
        return bad;
      } catch (const DataError& error) {
        if (options_.on_bad == OnBadImage::fail) throw;
        if (bad.empty()) bad = error.what();
      }
      i = next_of_class(i);
      CLX_CHECK_DATA(
          i != sample, "loader: expected an image of class ",
          set_.class_names[static_cast<std::size_t>(set_.labels[static_cast<std::size_t>(sample)])],
          " that can be read, got none: ", bad);
    }
  }

  // Image i in the place of `sample`, by which chance is drawn.
  void draw_views(std::int64_t i,
                  std::int64_t sample,
                  const Batch& batch,
                  std::int64_t place,
                  ImageSource::Memory& memory) const {
    const std::int64_t side = set_.square.side, bytes = side * side * 3, N = batch.count();
    const auto to = [&](int view) { return batch.pixels + (view * N + place) * bytes; };
    if (!options_.augment.resized_crop) {
      read_square(*set_.source, i, set_.square, memory, to(0));
      for (int view = 1; view < options_.views; ++view)
        std::copy_n(to(0), bytes, to(view));
      return;
    }
    const io::ImageView image = set_.source->read(i, memory);
    for (int view = 0; view < options_.views; ++view) {
      const Box box =
          draw_augmentation(options_.augment, image.height, image.width, options_.seed, epoch_, sample, view)
              .box;
      io::resized_crop(image, {box.top, box.left, box.height, box.width}, static_cast<int>(side),
                       static_cast<int>(side), to(view));
    }
  }

  std::int64_t next_of_class(std::int64_t i) const {
    const std::int32_t label = set_.labels[static_cast<std::size_t>(i)];
    do
      i = (i + 1) % set_.size();
    while (set_.labels[static_cast<std::size_t>(i)] != label);
    return i;
  }

  Dataset set_;
  const PrefetchOptions options_;
  std::mutex mutex_;
  std::condition_variable to_do_, done_;
  std::deque<Batch> under_way_;
  Order order_;
  int epoch_ = 0;
  std::int64_t next_ = 0, batches_ = 0;  // the batch to begin next, and their end
  int busy_ = 0;                         // threads that are at an image
  bool ended_ = false;
  std::vector<std::jthread> threads_;  // last: they end before what they use
};

Prefetcher::Prefetcher(const Dataset& set, const PrefetchOptions& options)
    : team_(std::make_unique<Team>(set, options)) {}
Prefetcher::~Prefetcher() = default;

void Prefetcher::start(int epoch, std::int64_t first, std::int64_t batches, Order order) {
  team_->start(epoch, first, batches, std::move(order));
}

Prefetcher::Images Prefetcher::take() {
  return team_->take();
}

}  // namespace clx::data
