#include "apps/train/objective.h"

#include <fmt/format.h>

#include "apps/support/exit_code.h"
#include "runtime/ops/all_gather.h"
#include "runtime/ops/cross_entropy.h"
#include "runtime/ops/l2_normalize.h"
#include "runtime/ops/supcon.h"

namespace clx::app {

std::string name_of(Loss loss) {
  return loss == Loss::ce ? "ce" : loss == Loss::supcon ? "supcon" : "triplet";
}

void add_objective_options(Options& options, ObjectiveOptions* o) {
  options.group("Loss");
  options.add(
      "loss", &o->loss, {{"ce", Loss::ce}, {"supcon", Loss::supcon}, {"triplet", Loss::triplet}},
      "cross-entropy, supervised contrastive or triplet loss; the last two train an encoder, for which "
      "a linear classifier is fitted afterwards (--probe)");
  options
      .add("views", &o->views,
           "independently augmented copies of each image in a batch (default: 2 for supcon, else 1)")
      .range(1, 16);
  options.add("temperature", &o->temperature, "of supcon (default: 0.07)").positive();
  options.add("margin", &o->margin, "of triplet (default: 0.3)").range(0, 1e6);
  options
      .add("mining", &o->mining,
           "of triplet: all semi-hard triplets of the batch, or each anchor's hardest (default: semi-hard)")
      .choices({"semi-hard", "hard"});
  options
      .add(
          "triplet-input", &o->triplet_input,
          "what triplet sees: the backbone's pooled features as they are, as the published code does, or the "
          "projection head's normalised outputs, as the paper says (default: backbone)")
      .choices({"backbone", "head"});
  options.add("label-smoothing", &o->label_smoothing, "ε of label smoothing, of ce").range(0, 0.999);
}

void check_objective_options(const ObjectiveOptions& o) {
  const auto belongs = [&](const char* option, bool given, Loss loss) {
    if (given && o.loss != loss)
      throw UsageError(fmt::format("{}: is an option of --loss {}, got --loss {}", option, name_of(loss),
                                   name_of(o.loss)));
  };
  belongs("temperature", o.temperature.has_value(), Loss::supcon);
  belongs("margin", o.margin.has_value(), Loss::triplet);
  belongs("mining", o.mining.has_value(), Loss::triplet);
  belongs("triplet-input", o.triplet_input.has_value(), Loss::triplet);
  belongs("label-smoothing", o.label_smoothing > 0, Loss::ce);
}

Objective::Objective(const ObjectiveOptions& options, Communicator& across, Device device)
    : options_(options),
      triplet_{.margin = options.margin.value_or(0.3f),
               .mining = options.mining == "hard" ? Mining::hard : Mining::semi_hard},
      on_head_(options.loss == Loss::supcon || options.triplet_input == "head"),
      views_(options.views.value_or(options.loss == Loss::supcon ? 2 : 1)),
      across_(across),
      none_correct_(Tensor::zeros({}, device, DType::i32)) {}

Tensor Objective::outputs(nn::Model& model, const Tensor& images) const {
  if (!contrastive()) return model.forward(images);
  const Tensor features = model.features(images);
  return on_head_ ? l2_normalize(model.projection(features)) : features;
}

BatchLoss Objective::operator()(nn::Model& model,
                                const Tensor& images,
                                const Tensor& labels_of_images) const {
  Tensor x = outputs(model, images), labels = labels_of_images;
  if (across_.size() > 1) {
    x = all_gather(x, across_, {.views = views_});
    labels = all_gather(labels, across_, {.views = views_});
  }
  if (options_.loss == Loss::supcon)
    return {supcon(x, labels, {.temperature = options_.temperature.value_or(0.07f)}), none_correct_};
  if (options_.loss == Loss::triplet) return {triplet(x, labels, triplet_).loss, none_correct_};
  const CrossEntropy ce = cross_entropy(x, labels, {.smoothing = options_.label_smoothing});
  return {ce.loss, ce.correct};
}

}  // namespace clx::app
