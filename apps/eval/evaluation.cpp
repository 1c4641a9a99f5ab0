#include "apps/eval/evaluation.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <iostream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "apps/eval/scores.h"
#include "apps/support/output_folder.h"
#include "apps/support/program.h"
#include "apps/support/progress.h"
#include "runtime/autograd.h"
#include "runtime/io/file.h"
#include "runtime/io/npz.h"
#include "xai/metrics/coherence.h"
#include "xai/metrics/complexity.h"

namespace clx::app {
namespace {

bool contains(const std::vector<std::string>& list, const std::string& name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

class Evaluation {
 public:
  explicit Evaluation(const EvaluationOptions& options)
      : o_(options),
        explain_(options.explain),
        device_(start_compute(options.compute)),
        set_(load_data(options.data, data::Split::test)),
        model_(load_model(options.model, set_, device_, options.compute.precision)),
        batches_(set_, device_, *model_),
        scores_(set_.size()) {
    check_explainable(*model_, explain_);
    if (options.control && !contains(explain_.methods, "random")) explain_.methods.emplace_back("random");
  }

  int run() {
    make_output_folder(o_.output_dir);
    Progress progress("evaluate", set_.size(), {.quiet = o_.quiet});
    for (std::int64_t begin = 0; begin < set_.size(); begin += explain_.batch_size) {
      const std::int64_t end = std::min(begin + explain_.batch_size, set_.size());
      evaluate_batch(begin, end);
      progress.update(end);
      if (!stop_requested()) continue;
      std::cerr << fmt::format("stopped after {} of {} images; no scores are written\n", end, set_.size());
      return stop_code();
    }
    progress.finish();
    write();
    return ok;
  }

 private:
  bool wants(const std::string& metric) const { return contains(o_.metrics, metric); }

  void evaluate_batch(std::int64_t begin, std::int64_t end) {
    const Tensor images = batches_.images(begin, end);
    const std::vector<std::int32_t> labels(set_.labels.begin() + begin, set_.labels.begin() + end);
    const Explained e = explain_batch(*model_, images, labels, begin, explain_);
    scores_.predictions(labels, e.predicted);
    std::vector<xai::PixelFlipping> flips;
    for (std::size_t m = 0; m < explain_.methods.size(); ++m) {
      const std::string method = column_name(explain_.methods[m]);
      const Tensor& maps = e.maps[m];
      if (wants("complexity")) scores_.add("complexity", method, "Complexity", xai::complexity(maps));
      if (wants("sparseness")) scores_.add("sparseness", method, "Sparseness", xai::sparseness(maps));
      if (wants("coherence") && set_.masks.defined()) {
        const Tensor masks = set_.masks.slice(begin, end);
        scores_.add(method + "_PG", method, "PG", xai::pointing_game(maps, masks));
        scores_.add(method + "_AL", method, "AL", xai::attribution_localisation(maps, masks));
      }
      if (wants("pixel-flipping"))
        flips.push_back(flip(images, maps, o_.pf_class == "true" ? labels : e.predicted));
    }
    add_flips(flips);
  }

  xai::PixelFlipping flip(const Tensor& images,
                          const Tensor& maps,
                          const std::vector<std::int32_t>& classes) {
    const auto classifier = [this](const Tensor& x) {
      const NoGrad no_grad;
      return model_->forward(x);
    };
    return xai::pixel_flipping(classifier, images, maps, classes, o_.pixel_flipping);
  }

  // One result per method. First the columns that the reference has, then ours.
  void add_flips(const std::vector<xai::PixelFlipping>& flips) {
    for (std::size_t m = 0; m < flips.size(); ++m) {
      const std::string method = column_name(explain_.methods[m]);
      scores_.add("pf", method, "PF_AUC", flips[m].auc);
      auto& curves = curves_[method];
      curves.insert(curves.end(), flips[m].curves.begin(), flips[m].curves.end());
      steps_ = flips[m].steps;
    }
    if (!flips.empty()) scores_.add("pf", "", "p0", flips[0].p0);
    for (std::size_t m = 0; m < flips.size(); ++m) {
      std::vector<double> relative;
      for (std::size_t n = 0; n < flips[m].auc.size(); ++n)
        relative.push_back(flips[m].auc[n] / flips[m].p0[n]);
      scores_.add("pf", column_name(explain_.methods[m]), "PF_AUC_over_p0", relative);
    }
  }

  void write() const {
    scores_.write_csv(o_.output_dir);
    if (!curves_.empty()) {
      std::map<std::string, Tensor> arrays;
      for (const auto& [method, curve] : curves_)
        arrays[method] =
            Tensor::from_host<float>({set_.size(), steps_}, std::vector<float>(curve.begin(), curve.end()));
      io::write_npz(o_.output_dir / "pf_curves.npz", arrays);
    }
    const nlohmann::ordered_json summary{
        {"images", set_.size()},
        {"dataset", set_.name},
        {"model", model_->description()},
        {"layer", explain_.layer.empty() ? model_->default_layer() : explain_.layer},
        {"target", explain_.target},
        {"pf_class", o_.pf_class},
        {"pf_mode", "pixel"},
        {"accuracy", scores_.accuracy()},
        {"metrics", scores_.summary()}};
    const std::string text = summary.dump(2) + "\n";
    io::write_file(o_.output_dir / "summary.json", text.data(), text.size());
    io::write_file(o_.output_dir / "config.toml", o_.config_toml.data(), o_.config_toml.size());
    std::cout << fmt::format("{} images of {}, accuracy {:.2f} %\n\n", set_.size(), set_.name,
                             100 * scores_.accuracy())
              << scores_.table();
    if (wants("coherence") && !set_.masks.defined())
      std::cout << "\ncoherence skipped: this data set has no object masks\n";
    std::cout << fmt::format("\nscores: {}\n", o_.output_dir.string());
  }

  const EvaluationOptions& o_;
  ExplainOptions explain_;
  Device device_;
  data::Dataset set_;
  std::unique_ptr<nn::Model> model_;
  Batches batches_;
  Scores scores_;
  std::map<std::string, std::vector<double>> curves_;
  std::int64_t steps_ = 0;
};

}  // namespace

int evaluate(const EvaluationOptions& options) {
  handle_stop_signals();
  return Evaluation(options).run();
}

}  // namespace clx::app
