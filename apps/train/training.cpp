#include "apps/train/training.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fmt/format.h>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "apps/support/probing.h"
#include "apps/support/program.h"
#include "apps/support/progress.h"
#include "apps/train/training_state.h"
#include "nn/checkpoint.h"
#include "nn/data/batch_loader.h"
#include "nn/features.h"
#include "nn/optim/schedule.h"
#include "runtime/autograd.h"
#include "runtime/graph.h"
#include "runtime/ops/all_reduce.h"
#include "runtime/threads.h"

namespace clx::app {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr const char* kState = "last.state.safetensors";

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

bool wants_probe(const TrainingOptions& o) {
  return o.objective.loss != Loss::ce && o.probe != "none";
}

data::BatchOptions batch_options(const TrainingOptions& o,
                                 std::uint64_t seed,
                                 const data::Dataset& train,
                                 const Objective& objective,
                                 const nn::Model& model,
                                 const Communicator& across,
                                 Device device) {
  data::BatchOptions batches{
      .batch_size = o.batch_size,
      .views = objective.views(),
      .order = {.shares = across.size(), .share = across.rank()},
      .augment = augmentation(o.augmentation, o.objective.loss == Loss::supcon ? "contrastive" : "crop-flip"),
      .seed = seed,
      .device = device,
      .workers = o.data.workers,
      .on_bad = o.data.on_bad_image};
  batches.augment.dtype = model.input_dtype();
  if (o.sampler == "pk")
    batches.classes_per_batch =
        o.classes_per_batch > 0 ? o.classes_per_batch : static_cast<int>(train.class_names.size());
  return batches;
}

ProbingOptions probing_options(const TrainingOptions& o, std::uint64_t seed) {
  ProbingOptions probing;
  probing.probe.mode = o.probe == "converged"   ? nn::ProbeMode::converged
                       : o.probe == "minibatch" ? nn::ProbeMode::minibatch
                                                : nn::ProbeMode::full_batch;
  probing.probe.epochs = o.probe_epochs;
  probing.probe.lr = o.probe_lr;
  probing.probe.seed = seed;
  probing.knn = true;
  probing.on_bad = o.data.on_bad_image;
  return probing;
}

// Everything that lives as long as the run.
class Training {
 public:
  Training(const TrainingOptions& o,
           const RunPlan& plan,
           const TrainingData& data,
           Communicator& across,
           Device device)
      : o_(o),
        seed_(plan.seed),
        train_(data.train),
        test_(data.test),
        across_(across),
        device_(device),
        objective_(o.objective, across, device),
        model_(make_model(architecture(), train_, seed_, device, o.compute.precision)),
        step_(device),
        loader_(train_, batch_options(o, seed_, train_, objective_, *model_, across, device)),
        // Processes exchange gradients, which the host sees to.
        step_on_device_(device, across.size() > 1 ? GraphMode::off : o.graph, [this](const auto& feed) {
          step_on(loader_.make(feed));
          return std::vector<Tensor>{};
        }) {
    CLX_CHECK(loader_.batches() > 0, "train: expected at least one batch of ", o.batch_size, " images, got ",
              train_.size(), " images; a smaller --batch-size may help");
    if (o.processes.sync_bn && across.size() > 1) model_->synchronise(&across);
    std::optional<SavedState> saved;
    if (plan.start == IfRunExists::resume) {
      saved.emplace(seed_folder(o.output_dir, seed_) / "checkpoints" / kState);
      saved->require(identity());
      saved->restore(*model_);
      saved->restore(step_);
      position_ = saved->position();
    }
    optimizer_ = nn::make_optimizer(o.optimizer, model_->parameters(), o.optimization);
    if (saved) saved->restore(*optimizer_);
    // Last: nothing is written before everything else was found to be right.
    if (across.rank() != 0) {
      position_.replaced = 0;  // rank 0 has them all
      return;
    }
    folder_.emplace(o.output_dir, seed_, plan.config_toml,
                    RunEnvironment{describe(device), threads(), o.command}, plan.start);
    if (!saved) return;
    folder_->keep_metrics_until(position_.epoch - 1);
    save_weights("last");
  }

  int run() {
    announce();
    for (; position_.epoch < o_.epochs; position_ = next())
      if (!epoch()) return stopped();
    return finish();
  }

 private:
  ArchitectureOptions architecture() const {
    ArchitectureOptions architecture = o_.architecture;
    architecture.head = objective_.head();
    return architecture;
  }

  RunIdentity identity() const { return {model_->description(), o_.optimizer, identity_of(train_), seed_}; }

  // The beginning of the next epoch.
  Position next() const { return {position_.epoch + 1, 0, position_.best, position_.any_best}; }

  double lr() const { return nn::warmup_cosine(o_.lr, position_.epoch, o_.epochs, o_.warmup_epochs); }

  // Whose output it is, where there are others'.
  std::string who() const { return o_.concurrent ? fmt::format("seed {}: ", seed_) : ""; }

  // Lines, each in one piece whatever other threads say.
  void say(std::ostream& stream, const std::string& lines) const {
    std::string text;
    std::istringstream rest(lines);
    for (std::string line; std::getline(rest, line);)
      text += who() + line + '\n';
    stream << text << std::flush;
  }

  void announce() const {
    std::string text =
        fmt::format("{}: {} training and {} test images of {}×{}, {} classes\n", train_.name, train_.size(),
                    test_.size(), train_.height(), train_.width(), train_.class_names.size());
    text += fmt::format("{}: {} parameters, on {}\n", model_->description(), model_->parameter_count(),
                        describe(device_));
    if (position_.epoch > 0 || position_.batch > 0)
      text += fmt::format("resumed after {} epochs and {} steps\n", position_.epoch, position_.batch);
    say(std::cout, text);
  }

  // False if it was stopped on request, at position_.batch.
  bool epoch() {
    const auto start = std::chrono::steady_clock::now();
    const std::int64_t first = position_.batch;
    if (!train_epoch()) return false;
    const StepTotals totals = step_.read();
    const double seconds = seconds_since(start);
    check_weights();
    count_replaced();
    if (!folder_) return true;
    ordered_json line{
        {"epoch", position_.epoch}, {"step", totals.step}, {"lr", lr()}, {"train_loss", totals.loss}};
    measure(totals, &line);
    if (train_.source) line["replaced_images"] = position_.replaced;
    folder_->append_metrics(line);
    const std::int64_t images = (loader_.batches() - first) * o_.batch_size;
    folder_->append_timings({{"epoch", position_.epoch},
                             {"images_per_second", static_cast<double>(images) / seconds},
                             {"train_seconds", seconds},
                             {"seconds", seconds_since(start)}});
    if ((position_.epoch + 1) % o_.checkpoint_interval == 0 || position_.epoch + 1 == o_.epochs) save(next());
    print(line, seconds_since(start));
    return true;
  }

  // Test accuracy or nearest neighbours, and checkpoints/best.
  void measure(const StepTotals& totals, ordered_json* line) {
    double score = -totals.loss;
    if (!objective_.contrastive()) {
      score = accuracy(*model_, test_, device_);
      (*line)["train_accuracy"] = totals.accuracy;
      (*line)["test_accuracy"] = score;
    } else if (o_.knn_interval > 0 && (position_.epoch + 1) % o_.knn_interval == 0) {
      (*line)["knn_accuracy"] = knn();
    }
    if (position_.any_best && score <= position_.best) return;
    position_.best = score;
    position_.any_best = true;
    save_weights("best");
  }

  double knn() {
    const Tensor of_train = nn::features_of(*model_, train_, device_, 256, o_.data.on_bad_image);
    return nn::knn_accuracy(of_train, train_.labels, nn::features_of(*model_, test_, device_), test_.labels,
                            static_cast<int>(train_.class_names.size()));
  }

  void print(const ordered_json& line, double seconds) const {
    std::string text = fmt::format("epoch {:3}  lr {:.5f}  loss {:.4f}", position_.epoch + 1, lr(),
                                   line["train_loss"].get<double>());
    for (const auto& [key, name] : {std::pair("train_accuracy", "train"), std::pair("test_accuracy", "test"),
                                    std::pair("knn_accuracy", "nearest neighbours")})
      if (line.contains(key)) text += fmt::format("  {} {:.2f} %", name, 100 * line[key].get<double>());
    if (position_.replaced > 0) text += fmt::format("  {} images replaced", position_.replaced);
    say(std::cout, fmt::format("{}  {:.1f} s", text, seconds));
  }

  bool train_epoch() {
    model_->train(true);
    step_.set_learning_rate(static_cast<float>(lr()));
    loader_.start_epoch(position_.epoch);
    const std::int64_t batches = loader_.batches();
    ProgressOptions shown{.quiet = o_.quiet};
    if (o_.concurrent) shown.stream = &std::cerr;  // lines, as bars would overwrite each other
    Progress progress(fmt::format("{}epoch {}/{}", who(), position_.epoch + 1, o_.epochs),
                      batches * o_.batch_size, shown);
    double loss = 0;
    while (position_.batch < batches) {
      if (stop_requested_anywhere(across_)) return false;
      train_step(loader_.feed(position_.batch));
      ++position_.batch;
      if (position_.batch % o_.log_interval != 0 && position_.batch != batches) continue;
      loss = finite_totals().loss;
      progress.update(position_.batch * o_.batch_size, fmt::format("loss {:.4f}", loss));
    }
    progress.finish(fmt::format("loss {:.4f}", loss));
    return true;
  }

  // Without a word from the device to the host: it may be captured and replayed.
  void step_on(const data::LabelledImages& batch) {
    const BatchLoss loss = objective_(*model_, batch.images, batch.labels);
    optimizer_->clear_gradients();
    backward(loss.loss);
    if (across_.size() > 1) all_reduce_gradients(model_->parameters(), across_);
    optimizer_->step(step_);
    step_.advance(o_.batch_size, loss.loss, loss.correct);
  }

  void train_step(const data::BatchFeed& feed) {
    step_on_device_(feed.tensors);
    position_.replaced += feed.replaced;
    for (; bad_images_ < loader_.bad_images().size(); ++bad_images_)
      say(std::cerr, "left out of the training images: " + loader_.bad_images()[bad_images_]);
  }

  // The whole batch's, of which each process saw its share.
  void count_replaced() {
    if (across_.size() == 1 || !train_.source) return;
    const Tensor mine = Tensor::full({1}, static_cast<float>(position_.replaced), device_);
    position_.replaced = static_cast<std::int64_t>(all_reduce(mine, across_).item());
  }

  StepTotals finite_totals() const {
    const StepTotals totals = step_.peek();
    if (totals.first_bad_step >= 0)
      diverged(fmt::format("the loss was not finite at step {} (epoch {})", totals.first_bad_step,
                           position_.epoch + 1));
    return totals;
  }

  // The last step may spoil the weights after its own loss was still finite.
  void check_weights() const {
    model_->visit([&](const nn::Entry& entry) {
      if (entry.role == nn::Role::counter) return;
      const std::vector<float> values = entry.tensor->to_host();
      if (!std::ranges::all_of(values, [](float v) { return std::isfinite(v); }))
        diverged(fmt::format("{} was not finite in epoch {}", entry.name, position_.epoch + 1));
    });
  }

  [[noreturn]] void diverged(const std::string& what) const {
    std::string kept;
    if (folder_) {
      const fs::path last = folder_->checkpoint("last");
      kept = fs::exists(last) ? "; " + last.string() + " holds the last good weights"
                              : "; no weights were saved";
    }
    throw NonFiniteLoss(fmt::format("train: {}{}; a smaller --lr may help", what, kept));
  }

  void save_weights(const std::string& name) const {
    nn::save_checkpoint(folder_->checkpoint(name), *model_, train_.info());
  }

  // The state alone decides where a run goes on; it holds the weights, too, so that whatever moment the
  // program is killed in, the two belong together.
  void save(const Position& position) const {
    save_state(folder_->checkpoints() / kState, *model_, *optimizer_, step_, position, identity());
    save_weights("last");
  }

  int stopped() {
    finite_totals();
    check_weights();
    count_replaced();
    if (folder_) {
      save(position_);
      say(std::cerr, fmt::format("stopped in epoch {} after {} of {} steps; {} and its state are saved, "
                                 "--resume goes on",
                                 position_.epoch + 1, position_.batch, loader_.batches(),
                                 folder_->checkpoint("last").string()));
    }
    return stop_code();
  }

  int finish() {
    if (!folder_) return ok;
    save_weights("final");
    if (wants_probe(o_)) {
      if (stop_requested()) {
        say(std::cerr, "stopped before the linear classifier was fitted; --resume goes on");
        return stop_code();
      }
      const Probing probing = probe_encoder(*model_, train_, test_, device_, probing_options(o_, seed_));
      save_probing(probe_file(folder_->checkpoints()), probing);
      say(std::cout, probing.table());
    }
    say(std::cout, fmt::format("run folder: {}", folder_->path().string()));
    return ok;
  }

  const TrainingOptions& o_;
  std::uint64_t seed_;
  const data::Dataset &train_, &test_;
  Communicator& across_;
  Device device_;
  Objective objective_;
  std::unique_ptr<nn::Model> model_;
  std::unique_ptr<nn::Optimizer> optimizer_;
  Step step_;
  data::BatchLoader loader_;
  Replayed step_on_device_;
  Position position_;
  std::size_t bad_images_ = 0;       // of the loader's, those that were named
  std::optional<RunFolder> folder_;  // of rank 0
};

}  // namespace

Progressed progress_of(const fs::path& folder, const TrainingOptions& options) {
  const fs::path checkpoints = folder / "checkpoints";
  if (!fs::exists(folder / "config.toml")) return Progressed::nothing;
  const bool final = fs::exists(checkpoints / "final.safetensors");
  const bool probed = fs::exists(probe_file(checkpoints).replace_extension(".json"));
  if (final && (probed || !wants_probe(options))) return Progressed::finished;
  if (fs::exists(checkpoints / kState)) return Progressed::interrupted;
  CLX_CHECK_DATA(!fs::exists(checkpoints / "last.safetensors"), "resume: ", folder.string(),
                 " has weights, but no ", kState, " to go on from; --overwrite starts anew");
  return Progressed::begun;
}

int train(const TrainingOptions& options,
          const RunPlan& plan,
          const TrainingData& data,
          Communicator& across,
          Device device) {
  return Training(options, plan, data, across, device).run();
}

}  // namespace clx::app
