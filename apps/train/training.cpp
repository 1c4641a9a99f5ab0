#include "apps/train/training.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fmt/format.h>
#include <iostream>
#include <nlohmann/json.hpp>

#include "apps/support/program.h"
#include "apps/support/progress.h"
#include "apps/support/run_folder.h"
#include "nn/checkpoint.h"
#include "nn/data/loader.h"
#include "nn/optim/schedule.h"
#include "runtime/allocator.h"
#include "runtime/autograd.h"
#include "runtime/ops/cross_entropy.h"
#include "runtime/ops/gather.h"
#include "runtime/threads.h"

namespace clx::app {
namespace {

namespace fs = std::filesystem;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Everything that lives as long as the run.
class Training {
 public:
  Training(const TrainingOptions& options, Device device)
      : o_(options),
        device_(device),
        train_(load_data(options.data, data::Split::train)),
        test_(load_data(options.data, data::Split::test)),
        model_(make_model(options.architecture, train_, options.seed, device, options.compute.precision)),
        optimizer_(nn::make_optimizer("sgd", model_->parameters(), options.optimizer)),
        step_(device),
        images_(train_.images.to(device)),
        labels_(train_.label_tensor().to(device)),
        order_(at_least(options.batch_size, train_.size()), options.batch_size, options.seed),
        folder_(options.output_dir,
                options.seed,
                options.config_toml,
                {describe(device), threads(), options.command},
                options.overwrite ? IfRunExists::overwrite : IfRunExists::refuse) {}

  int run() {
    announce();
    for (int epoch = 0; epoch < o_.epochs; ++epoch) {
      const auto start = std::chrono::steady_clock::now();
      const StepTotals totals = train_epoch(epoch);
      check_weights(epoch);
      if (stop_requested()) return stopped(epoch);
      const double test_accuracy = accuracy(*model_, test_, device_);
      const bool best = test_accuracy > best_;
      best_ = std::max(best_, test_accuracy);
      save("last");
      if (best) save("best");
      const double seconds = seconds_since(start);
      folder_.append_metrics({{"epoch", epoch},
                              {"step", totals.step},
                              {"lr", lr(epoch)},
                              {"train_loss", totals.loss},
                              {"train_accuracy", totals.accuracy},
                              {"test_accuracy", test_accuracy},
                              {"seconds", seconds},
                              {"images_per_second", static_cast<double>(totals.seen) / seconds}});
      std::cout << fmt::format(
                       "epoch {:3}  lr {:.5f}  loss {:.4f}  train {:.2f} %  test {:.2f} %  {:.1f} s\n",
                       epoch + 1, lr(epoch), totals.loss, 100 * totals.accuracy, 100 * test_accuracy, seconds)
                << std::flush;
    }
    save("final");
    std::cout << fmt::format("run folder: {}\n", folder_.path().string());
    return ok;
  }

 private:
  static std::int64_t at_least(std::int64_t batch_size, std::int64_t images) {
    CLX_CHECK(images >= batch_size, "train: expected at least one batch of ", batch_size, " images, got ",
              images, " images; a smaller --batch-size may help");
    return images;
  }

  double lr(int epoch) const { return nn::warmup_cosine(o_.lr, epoch, o_.epochs, o_.warmup_epochs); }

  void announce() const {
    std::cout << fmt::format("{}: {} training and {} test images of {}×{}, {} classes\n", train_.name,
                             train_.size(), test_.size(), train_.height(), train_.width(),
                             train_.class_names.size());
    std::cout << fmt::format("{}: {} parameters, on {}\n", model_->description(), model_->parameter_count(),
                             describe(device_));
  }

  StepTotals train_epoch(int epoch) {
    model_->train(true);
    step_.set_learning_rate(static_cast<float>(lr(epoch)));
    step_.set_key(o_.seed, epoch);
    order_.start_epoch(epoch);
    Progress progress(fmt::format("epoch {}/{}", epoch + 1, o_.epochs), order_.batches() * o_.batch_size,
                      {.quiet = o_.quiet});
    StepTotals sum;
    for (std::int64_t batch = 0; batch < order_.batches() && !stop_requested(); ++batch) {
      train_step(order_.batch(batch));
      if ((batch + 1) % o_.log_interval != 0 && batch + 1 != order_.batches()) continue;
      const StepTotals totals = step_.read();
      if (totals.first_bad_step >= 0)
        diverged(
            fmt::format("the loss was not finite at step {} (epoch {})", totals.first_bad_step, epoch + 1));
      accumulate(totals, &sum);
      progress.update((batch + 1) * o_.batch_size, fmt::format("loss {:.4f}", totals.loss));
    }
    if (!stop_requested()) progress.finish(fmt::format("loss {:.4f}", sum.loss));
    return sum;
  }

  // The last step of an epoch may spoil the weights after its own loss was still finite.
  void check_weights(int epoch) {
    model_->visit([&](const nn::Entry& entry) {
      if (entry.role == nn::Role::counter) return;
      const std::vector<float> values = entry.tensor->to_host();
      if (!std::ranges::all_of(values, [](float v) { return std::isfinite(v); }))
        diverged(fmt::format("{} was not finite after epoch {}", entry.name, epoch + 1));
    });
  }

  [[noreturn]] void diverged(const std::string& what) const {
    const fs::path last = folder_.checkpoint("last");
    const std::string kept =
        fs::exists(last) ? last.string() + " holds the last good weights" : "no weights were saved";
    throw NonFiniteLoss(fmt::format("train: {}; {}; a smaller --lr may help", what, kept));
  }

  // Weighs by the number of images, so that the sum over all reads is the epoch's mean.
  static void accumulate(const StepTotals& part, StepTotals* sum) {
    const double share = static_cast<double>(part.seen) / static_cast<double>(part.seen + sum->seen);
    sum->loss += share * (part.loss - sum->loss);
    sum->accuracy += share * (part.accuracy - sum->accuracy);
    sum->seen += part.seen;
    sum->step = part.step;
  }

  void train_step(const std::vector<std::int64_t>& samples) {
    const Tensor ids = Tensor::from_host({static_cast<std::int64_t>(samples.size())}, samples, device_);
    const bool crop = o_.augment == "crop-flip";
    const Tensor x = gather_images(images_, ids, step_,
                                   {.mean = train_.mean,
                                    .std = train_.std,
                                    .padding = crop ? 4 : 0,
                                    .flip = crop,
                                    .dtype = model_->input_dtype()});
    const CrossEntropy ce =
        cross_entropy(model_->forward(x), gather_labels(labels_, ids), {.smoothing = o_.label_smoothing});
    optimizer_->clear_gradients();
    backward(ce.loss);
    optimizer_->step(step_);
    step_.advance(static_cast<int>(samples.size()), ce.loss, ce.correct);
  }

  void save(const std::string& name) const {
    nn::save_checkpoint(folder_.checkpoint(name), *model_, train_.info());
  }

  int stopped(int epoch) const {
    save("last");
    std::cerr << fmt::format("stopped in epoch {}; weights are in {}\n", epoch + 1,
                             folder_.checkpoint("last").string());
    return stop_code();
  }

  const TrainingOptions& o_;
  Device device_;
  data::Dataset train_, test_;
  std::unique_ptr<nn::Model> model_;
  std::unique_ptr<nn::Optimizer> optimizer_;
  Step step_;
  Tensor images_, labels_;
  data::EpochOrder order_;
  RunFolder folder_;  // last: nothing is written before everything else was found to be right
  double best_ = -1;
};

}  // namespace

int train(const TrainingOptions& options) {
  handle_stop_signals();
  const Device device = start_compute(options.compute);
  return Training(options, device).run();
}

}  // namespace clx::app
