#include "nn/features.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "nn/data/batch_loader.h"
#include "runtime/autograd.h"
#include "runtime/check.h"

namespace clx::nn {
namespace {

// Evaluation mode while one lives.
class Evaluating {
 public:
  explicit Evaluating(Model& model) : model_(model), before_(model.training()) { model_.train(false); }
  ~Evaluating() { model_.train(before_); }
  Evaluating(const Evaluating&) = delete;
  Evaluating& operator=(const Evaluating&) = delete;

 private:
  Model& model_;
  bool before_;
};

class Fnv1a {
 public:
  void add(const void* bytes, std::size_t count) {
    const auto* b = static_cast<const unsigned char*>(bytes);
    for (std::size_t i = 0; i < count; ++i)
      hash_ = (hash_ ^ b[i]) * 0x100000001b3ull;
  }
  std::string text() const {
    std::string digits;
    for (int shift = 60; shift >= 0; shift -= 4)
      digits += "0123456789abcdef"[(hash_ >> shift) & 15];
    return digits;
  }

 private:
  std::uint64_t hash_ = 0xcbf29ce484222325ull;
};

bool of_head(const std::string& name) {
  const std::array<const char*, 3> heads{"fc.", "linear.", "projection."};
  return std::ranges::any_of(heads, [&](const char* head) { return name.starts_with(head); });
}

template <class Counts>
std::string hash_of(Model& model, Counts&& counts) {
  Fnv1a hash;
  model.visit([&](const Entry& entry) {
    if (entry.role == Role::counter || !counts(entry.name)) return;
    const std::vector<float> values = entry.tensor->to_host();
    hash.add(entry.name.data(), entry.name.size());
    hash.add(values.data(), values.size() * sizeof(float));
  });
  return hash.text();
}

}  // namespace

Tensor features_of(
    Model& model, const data::Dataset& set, Device device, int batch_size, data::OnBadImage on_bad) {
  const NoGrad no_grad;
  const Evaluating evaluating(model);
  data::BatchLoader loader(set, {.batch_size = batch_size,
                                 .order = {.shuffle = false, .drop_last = false},
                                 .augment = {.mean = model.trained_on().mean,
                                             .std = model.trained_on().std,
                                             .dtype = model.input_dtype()},
                                 .device = device,
                                 .on_bad = on_bad});
  std::vector<float> all;
  std::int64_t D = 0;
  for (std::int64_t b = 0; b < loader.batches(); ++b) {
    const Tensor features = model.features(loader.next().images);
    D = features.dim(1);
    const std::vector<float> values = features.to_host();
    if (b == 0) all.reserve(static_cast<std::size_t>(set.size() * D));
    all.insert(all.end(), values.begin(), values.end());
  }
  return Tensor::from_host({set.size(), D}, all, device);
}

std::string encoder_hash(Model& model) {
  return hash_of(model, [](const std::string& name) { return !of_head(name); });
}

std::string model_hash(Model& model) {
  return hash_of(model, [](const std::string&) { return true; });
}

}  // namespace clx::nn
