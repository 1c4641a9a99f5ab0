// What training makes smaller: from a batch to its loss.
#pragma once

#include <optional>
#include <string>

#include "apps/support/options.h"
#include "nn/models/model.h"
#include "runtime/communicator.h"
#include "runtime/ops/triplet.h"

namespace clx::app {

enum class Loss { ce, supcon, triplet };
/// "ce", "supcon", "triplet".
std::string name_of(Loss loss);

/// Values that are given belong to the loss; others have its defaults.
struct ObjectiveOptions {
  Loss loss = Loss::ce;
  std::optional<int> views{};                  // 2 for supcon, else 1
  std::optional<float> temperature{};          // supcon: 0.07
  std::optional<float> margin{};               // triplet: 0.3
  std::optional<std::string> mining{};         // triplet: semi-hard
  std::optional<std::string> triplet_input{};  // backbone
  float label_smoothing = 0;                   // ce
};

/// Declares --loss, --views, --temperature, … in the group "Loss".
void add_objective_options(Options& options, ObjectiveOptions* objective);

/// Throws UsageError naming an option that is given but belongs to another loss.
void check_objective_options(const ObjectiveOptions& options);

/// A batch's loss () f32 with history, and how many of its samples were classified rightly, () i32: of ce,
/// otherwise 0.
struct BatchLoss {
  Tensor loss, correct;
};

/// The loss of a whole batch, of which each process brings its share.
///
///   ce        cross-entropy of the classifier's scores
///   supcon    supervised contrastive loss of the projection head's outputs, normalised
///   triplet   triplet loss of the backbone's pooled features as they are (the published reference), or, with
///             `head`, of the projection head's outputs, normalised (the paper's text)
class Objective {
 public:
  /// `across` must outlive it.
  Objective(const ObjectiveOptions& options, Communicator& across, Device device);

  int views() const { return views_; }
  bool contrastive() const { return options_.loss != Loss::ce; }
  /// What the model needs.
  nn::Head head() const { return contrastive() ? nn::Head::projection : nn::Head::classifier; }

  /// Notes     The same in every process; gradients are to be summed over processes afterwards.
  BatchLoss operator()(nn::Model& model, const Tensor& images, const Tensor& labels) const;

 private:
  Tensor outputs(nn::Model& model, const Tensor& images) const;

  ObjectiveOptions options_;
  TripletOptions triplet_;
  bool on_head_;
  int views_;
  Communicator& across_;
  Tensor none_correct_;
};

}  // namespace clx::app
