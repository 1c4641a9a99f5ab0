#include "nn/data/pk_order.h"

#include <numeric>
#include <utility>

#include "runtime/check.h"
#include "runtime/random.h"

namespace clx::data {
namespace {

// The first `count` places of `values` become a random choice of all of them.
template <class T>
void shuffle_first(std::size_t count, Random& random, std::vector<T>& values) {
  for (std::size_t i = 0; i < count; ++i)
    std::swap(values[i], values[i + random.below(static_cast<std::uint32_t>(values.size() - i))]);
}

// The shuffled images of a class, dealt from the front.
class Deck {
 public:
  Deck(std::vector<std::int64_t> cards, Random random) : cards_(std::move(cards)), random_(random) {}

  void deal(std::size_t count, std::vector<std::int64_t>* to) {
    if (!shuffled_ || next_ + count > cards_.size()) {
      shuffle_first(cards_.size(), random_, cards_);
      shuffled_ = true;
      next_ = 0;
    }
    for (std::size_t i = 0; i < count; ++i)
      to->push_back(cards_[next_++]);
  }

 private:
  std::vector<std::int64_t> cards_;
  Random random_;
  bool shuffled_ = false;
  std::size_t next_ = 0;
};

}  // namespace

PkOrder::PkOrder(const std::vector<std::int32_t>& labels,
                 const std::vector<std::string>& class_names,
                 std::uint64_t seed,
                 const PkOptions& options)
    : of_class_(class_names.size()), seed_(seed), options_(options) {
  const int P = options.classes, K = options.images;
  CLX_CHECK(P >= 1 && K >= 1, "pk sampler: expected at least one class and one image of each, got ", P,
            " and ", K);
  CLX_CHECK(static_cast<std::size_t>(P) <= class_names.size(), "pk sampler: expected at least ", P,
            " classes, as many as a batch has, got ", class_names.size());
  CLX_CHECK(options.shares >= 1 && options.share >= 0 && options.share < options.shares &&
                P * K % options.shares == 0,
            "pk sampler: expected batches of a multiple of ", options.shares, " samples, got ", P, "·", K);
  for (std::size_t i = 0; i < labels.size(); ++i)
    of_class_.at(static_cast<std::size_t>(labels[i])).push_back(static_cast<std::int64_t>(i));
  for (std::size_t c = 0; c < of_class_.size(); ++c)
    CLX_CHECK(of_class_[c].size() >= static_cast<std::size_t>(K), "pk sampler: expected at least ", K,
              " images of every class, got ", of_class_[c].size(), " of ", class_names[c]);
  batches_ = static_cast<std::int64_t>(labels.size()) / (P * K);
  start_epoch(0);
}

void PkOrder::start_epoch(int epoch) {
  CLX_CHECK(epoch >= 0, "pk sampler: expected an epoch of at least 0, got ", epoch);
  const auto key = static_cast<std::uint32_t>(epoch);
  Random random(seed_, Purpose::shuffle, key);
  std::vector<Deck> decks;
  for (std::size_t c = 0; c < of_class_.size(); ++c)
    decks.emplace_back(of_class_[c], Random(seed_, Purpose::shuffle, key, c + 1));
  std::vector<std::size_t> classes(of_class_.size());
  order_.clear();
  for (std::int64_t b = 0; b < batches_; ++b) {
    std::iota(classes.begin(), classes.end(), std::size_t{0});
    shuffle_first(static_cast<std::size_t>(options_.classes), random, classes);
    for (int p = 0; p < options_.classes; ++p)
      decks[classes[static_cast<std::size_t>(p)]].deal(static_cast<std::size_t>(options_.images), &order_);
  }
}

std::vector<std::int64_t> PkOrder::batch(std::int64_t index) const {
  CLX_CHECK(index >= 0 && index < batches_, "pk sampler: expected a batch within 0…", batches_ - 1, ", got ",
            index);
  const std::int64_t whole = std::int64_t{options_.classes} * options_.images, size = whole / options_.shares;
  const auto first = order_.begin() + index * whole + options_.share * size;
  return {first, first + size};
}

}  // namespace clx::data
