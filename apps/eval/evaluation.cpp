#include "apps/eval/evaluation.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fmt/format.h>
#include <iostream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "apps/eval/given.h"
#include "apps/eval/results.h"
#include "apps/support/exit_code.h"
#include "apps/support/map_archive.h"
#include "apps/support/output_folder.h"
#include "apps/support/program.h"
#include "apps/support/progress.h"
#include "apps/support/version.h"
#include "nn/features.h"
#include "runtime/autograd.h"
#include "runtime/graph.h"
#include "runtime/io/file.h"
#include "runtime/ops/join.h"
#include "runtime/ops/map_scores.h"
#include "runtime/ops/rank.h"
#include "runtime/threads.h"
#include "xai/explain/controls.h"
#include "xai/metrics/complexity.h"

namespace clx::app {
namespace {

using nlohmann::ordered_json;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

bool contains(const std::vector<std::string>& list, const std::string& name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

// Maps under the name that their columns have.
struct Named {
  std::string name;
  Tensor maps;
};

// Seconds per metric.
class Stopwatch {
 public:
  template <class F>
  auto operator()(const std::string& what, F&& f) {
    const auto start = std::chrono::steady_clock::now();
    struct Stop {
      double* seconds;
      std::chrono::steady_clock::time_point start;
      ~Stop() { *seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); }
    } const stop{&seconds_[what], start};
    return f();
  }
  const std::map<std::string, double>& seconds() const { return seconds_; }

 private:
  std::map<std::string, double> seconds_;
};

class Evaluation {
 public:
  explicit Evaluation(const EvaluationOptions& options)
      : o_(options),
        device_(start_compute(options.compute)),
        set_(load_data(options.data, data::Split::test)),
        model_(load_model(options.model, set_, device_, options.compute.precision)),
        batches_(set_, device_, *model_),
        explainer_(*model_, o_.explain),
        flipping_(options.pixel_flipping),
        bounds_(noise_bounds(o_.stability.clamp, batches_.mean(), batches_.std())),
        scores_(set_.size()),
        archive_(set_.size()),
        classify_(device_,
                  o_.explain.graph,
                  [this](const std::vector<Tensor>& images) {
                    const NoGrad no_grad;
                    return std::vector{model_->forward(images[0])};
                  }),
        measure_(device_,
                 o_.explain.graph,
                 [](const std::vector<Tensor>& maps) { return std::vector{queue_map_scores(maps[0])}; }),
        measure_ranked_(
            device_,
            o_.explain.graph,
            [](const std::vector<Tensor>& maps) {
              return std::vector{queue_map_scores(maps[0], rank_maps(maps[0], {.magnitude = true}))};
            }),
        compare_(device_,
                 o_.explain.graph,
                 [this](const std::vector<Tensor>& maps) { return compare(maps[0], maps[1], o_.stability); }),
        locate_(device_, o_.explain.graph, [](const std::vector<Tensor>& in) {
          return std::vector{queue_mask_scores(in[0], in[1])};
        }) {
    if (!o_.maps.empty()) given_ = read_given_maps(o_.maps, set_);
    for (const std::string& method : o_.explain.methods)
      if (method != "random") cams_.push_back(method);
    note_what_is_skipped();
    if (wants("continuity") && !o_.stability.noise.empty())
      noise_ = read_given_noise(o_.stability.noise, set_);
    const int window = o_.stability.ssim.window;
    CLX_CHECK_DATA(
        (!wants("continuity") && !wants("contrastivity")) || std::min(set_.height(), set_.width()) >= window,
        "ssim: expected images of at least its window of ", window, "×", window, " pixels, got ",
        set_.height(), "×", set_.width());
    flipping_.replayed = [this](const Tensor& images) { return classify_({images})[0]; };
    flipping_.values = noise_bounds(NoiseClamp::valid_range, batches_.mean(), batches_.std()).low;
    if (flipping_.max_memory == 0) flipping_.max_memory = fitting_memory();
    check_step();
    scores_.count(o_.filter, o_.coherence_filter);
  }

  int run() {
    check_no_results(o_.output_dir, is_evaluation_result, o_.overwrite);
    make_output_folder(o_.output_dir);
    Progress progress("evaluate", set_.size(), {.quiet = o_.quiet});
    for (std::int64_t begin = 0; begin < set_.size(); begin += o_.explain.batch_size) {
      const std::int64_t end = std::min(begin + o_.explain.batch_size, set_.size());
      watch_("total", [&] { evaluate_batch(begin, end); });
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
  // Much for a GPU to do at once, little enough for a CPU's caches.
  std::int64_t fitting_memory() const {
    constexpr std::int64_t kMiB = 1 << 20;
    return device_.kind == DeviceKind::cpu ? 64 * kMiB * threads() : 2048 * kMiB;
  }

  // Before hours of work, not after.
  void check_step() const {
    const bool channels = flipping_.mode == xai::FlipMode::channel;
    const std::int64_t pixels = set_.height() * set_.width(),
                       step = flipping_.pixels_per_step ? flipping_.pixels_per_step : set_.width();
    if (wants("pixel-flipping") && (pixels % step != 0 || (pixels == step && !channels)))
      throw UsageError(
          fmt::format("pf-step: expected a number below {} that divides it, got {}", pixels, step));
  }

  bool wants(const std::string& metric) const {
    return contains(o_.metrics, metric) && !skipped_.contains(metric);
  }

  void note_what_is_skipped() {
    const auto skip = [&](const std::string& metric, const std::string& why) {
      if (contains(o_.metrics, metric)) skipped_[metric] = why;
    };
    if (!set_.masks.defined()) skip("coherence", "this data set has no object masks");
    if (!given_.empty()) {
      skip("continuity", "given maps cannot be made again of images with noise");
      skip("contrastivity", "given maps cannot be made again for other classes");
    } else if (!contains(cams_, "grad-cam")) {
      skip("contrastivity", "only Grad-CAM depends on the class");
    }
    if (cams_.empty()) skip("continuity", "random maps do not depend on the image");
  }

  void evaluate_batch(std::int64_t begin, std::int64_t end) {
    const Tensor images = batches_.images(begin, end);
    const std::vector<std::int32_t> labels(set_.labels.begin() + begin, set_.labels.begin() + end);
    const Explained e = watch_("explain", [&] { return explain(images, labels, begin, end); });
    scores_.predictions(labels, e.predicted);
    const std::vector<Named> cams = named(e), maps = with_controls(cams, begin);
    const Tensor all = joined(maps);
    watch_(wants("complexity") ? "complexity" : "explain", [&] { measure(all, maps, e); });
    if (wants("pixel-flipping")) watch_("pixel-flipping", [&] { flip(images, maps, labels, e); });
    if (wants("continuity")) watch_("continuity", [&] { continuity(images, e, begin, end); });
    if (wants("contrastivity")) watch_("contrastivity", [&] { contrastivity(images, e, begin); });
    if (wants("sparseness")) watch_("sparseness", [&] { sparseness(all, maps); });
    if (wants("coherence")) watch_("coherence", [&] { coherence(images, labels, e, cams, begin, end); });
    if (o_.save_maps) save(labels, e, cams);
  }

  Explained explain(const Tensor& images,
                    const std::vector<std::int32_t>& labels,
                    std::int64_t begin,
                    std::int64_t end) const {
    if (given_.empty()) return explainer_.explain(images, labels, begin);
    Explained e;
    {
      const NoGrad no_grad;
      e.seen.logits = model_->forward(images);
    }
    e.predicted = argmax_rows(e.seen.logits);
    e.target = explainer_.targets(labels, e.predicted);
    for (const GivenMaps& given : given_)
      e.methods.push_back({given.maps.slice(begin, end).to(device_), {}, {}});
    return e;
  }

  std::vector<Named> named(const Explained& e) const {
    std::vector<Named> maps;
    for (std::size_t m = 0; m < e.methods.size(); ++m)
      maps.push_back(
          {given_.empty() ? column_name(o_.explain.methods[m]) : given_[m].method, e.methods[m].maps});
    return maps;
  }

  std::vector<Named> with_controls(std::vector<Named> maps, std::int64_t begin) const {
    const std::string random = column_name("random");
    const std::vector<Named> methods = maps;
    const auto is_random = [&](const Named& m) { return m.name == random; };
    if (contains(o_.controls, "random") && std::ranges::none_of(maps, is_random))
      maps.push_back({random, xai::random_maps(sample_ids(begin, maps[0].maps.dim(0)), height(), width(),
                                               o_.explain.control_seed)
                                  .to(device_)});
    if (contains(o_.controls, "inverted"))
      for (const Named& m : methods)
        if (!is_random(m)) maps.push_back({"Inverted" + m.name, xai::inverted_maps(m.maps)});
    return maps;
  }

  static Tensor joined(const std::vector<Named>& maps) {
    std::vector<Tensor> all;
    for (const Named& m : maps)
      all.push_back(m.maps);
    return join(all);
  }

  // `score` of each of the maps that are joined, under their names.
  void add_scores(const std::string& file,
                  const std::string& metric,
                  const std::vector<Named>& maps,
                  const std::vector<MapScores>& of_all,
                  double MapScores::*score) {
    auto next = of_all.begin();
    for (const Named& m : maps) {
      std::vector<double> values;
      for (std::int64_t n = 0; n < m.maps.dim(0); ++n, ++next)
        values.push_back((*next).*score);
      scores_.add(file, m.name, metric, values);
    }
  }

  // Complexity, and what the notes count.
  void measure(const Tensor& all, const std::vector<Named>& maps, const Explained& e) {
    const std::vector<MapScores> of_all = read_map_scores(measure_({all})[0]);
    if (wants("complexity")) add_scores("complexity", "Complexity", maps, of_all, &MapScores::entropy);
    auto next = of_all.begin();
    for (const Named& m : maps)
      for (std::int64_t n = 0; n < m.maps.dim(0); ++n, ++next)
        zero_[m.name] += next->zero != 0;
    for (std::size_t m = 0; m < e.methods.size(); ++m)
      for (const std::uint8_t opposed : e.methods[m].opposed)
        opposed_[maps[m].name] += opposed;
  }

  void sparseness(const Tensor& all, const std::vector<Named>& maps) {
    add_scores("sparseness", "Sparseness", maps, read_map_scores(measure_ranked_({all})[0]),
               &MapScores::gini);
  }

  // First the columns that the reference has, then ours.
  void flip(const Tensor& images,
            const std::vector<Named>& maps,
            const std::vector<std::int32_t>& labels,
            const Explained& e) {
    const auto classifier = [this](const Tensor& x) {
      const NoGrad no_grad;
      return model_->forward(x);
    };
    const std::vector<std::int32_t>& classes = o_.pf_class == "true"        ? labels
                                               : o_.pf_class == "predicted" ? e.predicted
                                                                            : e.target;
    std::vector<Tensor> all;
    for (const Named& m : maps)
      all.push_back(m.maps);
    const auto flips = xai::pixel_flipping(classifier, images, all, classes, flipping_);
    flipping_.batch_size = flips[0].batch_size;  // is not sought again
    for (std::size_t m = 0; m < maps.size(); ++m) {
      const xai::PixelFlipping& f = flips[m];
      scores_.add("pf", maps[m].name, "PF_AUC", o_.pf_auc == "with-p0" ? f.auc_with_p0 : f.auc);
      curves_.add(maps[m].name, f.curves);
    }
    scores_.add("pf", "", "p0", flips[0].p0);
    curves_.add_p0(flips[0].p0);
    for (std::size_t m = 0; m < maps.size(); ++m) {
      scores_.add("pf", maps[m].name, "PF_AUC_with_p0", flips[m].auc_with_p0);
      scores_.add("pf", maps[m].name, "PF_AUC_over_p0", flips[m].auc_over_p0);
    }
  }

  // The class explained is the clean image's, also where noise changes the prediction.
  void continuity(const Tensor& images, const Explained& e, std::int64_t begin, std::int64_t end) {
    const Tensor noise = noise_.defined()
                             ? noise_.slice(begin, end)
                             : xai::gaussian_noise(sample_ids(begin, end - begin), height(), width(),
                                                   static_cast<int>(images.dim(3)), o_.stability.noise_sigma,
                                                   o_.stability.noise_seed);
    const Tensor noisy = xai::add_noise(images, noise, bounds_);
    const nn::Activations seen = explainer_.see(noisy);
    const std::vector<Tensor> maps = explainer_.maps(cams_, noisy, seen, e.target, o_.explain.aug_smooth);
    for (std::size_t m = 0; m < cams_.size(); ++m) {
      const std::string name = column_name(cams_[m]);
      scores_.add("continuity", name, "SSIM_Continuity",
                  similarity(compare_({maps_of(e, cams_[m]), maps[m]})));
      if (o_.save_maps) archive_.add_more(name + "_noisy", maps[m]);
    }
    scores_.add_classes("continuity", "noisy_pred", argmax_rows(seen.logits));
  }

  void contrastivity(const Tensor& images, const Explained& e, std::int64_t begin) {
    const std::string method = "grad-cam";
    const bool all = o_.stability.contrast == ContrastClass::all;
    const int rounds = all ? model_->classes() - 1 : 1;
    std::vector<double> sum(e.target.size(), 0), count = sum;
    for (int round = 0; round < rounds; ++round) {
      const std::vector<std::int32_t> classes =
          contrast_classes(e.seen.logits, e.target, begin, round, o_.stability);
      const Tensor maps = explainer_.maps({method}, images, e.seen, classes, o_.explain.aug_smooth)[0];
      const std::vector<double> ssim = similarity(compare_({maps_of(e, method), maps}));
      if (!all) scores_.add_classes("contrastivity", "contrast_class", classes);
      if (!all && o_.save_maps) archive_.add_more(column_name(method) + "_contrast", maps);
      for (std::size_t n = 0; n < sum.size(); ++n)
        if (!std::isnan(ssim[n])) {
          sum[n] += ssim[n];
          ++count[n];
        }
    }
    for (std::size_t n = 0; n < sum.size(); ++n)
      sum[n] = count[n] > 0 ? sum[n] / count[n] : kNaN;
    scores_.add("contrastivity", column_name(method), "SSIM_Contrastivity", sum);
  }

  void coherence(const Tensor& images,
                 const std::vector<std::int32_t>& labels,
                 const Explained& e,
                 std::vector<Named> cams,
                 std::int64_t begin,
                 std::int64_t end) {
    const std::vector<std::int32_t>& classes = o_.coherence_target == "true" ? labels : e.target;
    const bool smooth = o_.coherence_aug_smooth || o_.explain.aug_smooth;
    if (given_.empty() && (classes != e.target || smooth != o_.explain.aug_smooth)) {
      const std::vector<Tensor> maps = explainer_.maps(cams_, images, e.seen, classes, smooth);
      for (std::size_t m = 0; m < cams_.size(); ++m)
        std::ranges::find(cams, column_name(cams_[m]), &Named::name)->maps = maps[m];
    }
    const Tensor host_masks = set_.masks.slice(begin, end), masks = host_masks.to(device_);
    for (const Named& m : with_controls(std::move(cams), begin)) {
      const Tensor maps = o_.zero_coherence == "spike" ? spiked(m.maps) : m.maps;
      std::vector<double> hits, shares;
      for (const MaskScores& s : read_mask_scores(locate_({maps, masks})[0])) {
        hits.push_back(s.hit);
        shares.push_back(s.share);
      }
      scores_.add(m.name + "_PG", m.name, "PG", hits);
      scores_.add(m.name + "_AL", m.name, "AL", shares);
    }
    const auto* object = host_masks.data<std::uint8_t>();
    for (std::int64_t n = begin; n < end; ++n, object += masks.dim(1) * masks.dim(2))
      empty_masks_ +=
          std::all_of(object, object + masks.dim(1) * masks.dim(2), [](std::uint8_t m) { return m == 0; });
  }

  // Maps that are zero everywhere get a little at the top left, as in the published code.
  static Tensor spiked(const Tensor& maps) {
    const std::vector<std::uint8_t> zero = xai::all_zero(maps);
    Tensor changed = maps.to(kCpu).clone();
    for (std::size_t n = 0; n < zero.size(); ++n)
      if (zero[n]) changed.mutable_data()[static_cast<std::int64_t>(n) * maps.dim(1) * maps.dim(2)] = 0.001f;
    return changed.to(maps.device());
  }

  void save(const std::vector<std::int32_t>& labels, const Explained& e, const std::vector<Named>& maps) {
    for (std::size_t m = 0; m < e.methods.size(); ++m)
      archive_.add(maps[m].name, e.methods[m].maps, e.methods[m].raw, e.methods[m].opposed);
    archive_.add_classes(labels, e.predicted, e.target);
  }

  const Tensor& maps_of(const Explained& e, const std::string& method) const {
    const auto at = std::ranges::find(o_.explain.methods, method) - o_.explain.methods.begin();
    return e.methods[static_cast<std::size_t>(at)].maps;
  }

  int height() const { return static_cast<int>(set_.height()); }
  int width() const { return static_cast<int>(set_.width()); }

  ordered_json summary() const {
    ordered_json skipped = ordered_json::object(), seconds = ordered_json::object();
    for (const auto& [metric, why] : skipped_)
      skipped[metric] = why;
    for (const auto& [what, s] : watch_.seconds())
      seconds[what] = s;
    ordered_json summary{{"program", "clx-eval"},
                         {"version", version()},
                         {"protocol", o_.protocol},
                         {"images", set_.size()},
                         {"dataset", set_.name},
                         {"model", model_->description()},
                         {"model_hash", nn::model_hash(*model_)},
                         {"layer", explainer_.layer()},
                         {"cam", explainer_.closed() ? "closed" : "autograd"},
                         {"target", o_.explain.target},
                         {"accuracy", scores_.accuracy()},
                         {"metrics", scores_.summary()},
                         {"controls", o_.controls},
                         {"zero_maps", zero_},
                         {"opposed_maps", opposed_},
                         {"empty_masks", empty_masks_},
                         {"skipped", skipped},
                         {"flags", to_json(o_.flags)},
                         {"seconds", seconds}};
    if (!given_.empty()) {
      summary["layer"] = summary["cam"] = nullptr;
      summary["maps"] = o_.maps.string();
    }
    return summary;
  }

  std::string heading() const {
    return fmt::format("{} images of {}, accuracy {:.2f} %, protocol {}; means over {} images", set_.size(),
                       set_.name, 100 * scores_.accuracy(), o_.protocol,
                       o_.filter == Population::all ? "all" : "the correctly classified");
  }

  std::string notes() const {
    std::string text;
    for (const auto& [metric, why] : skipped_)
      text += fmt::format("{} skipped: {}\n", metric, why);
    for (const auto& [name, n] : zero_)
      if (n > 0) text += fmt::format("{}: {} maps are zero everywhere\n", name, n);
    for (const auto& [name, n] : opposed_)
      if (n > 0) text += fmt::format("{}: {} maps are larger where the layer is less active\n", name, n);
    if (empty_masks_ > 0) text += fmt::format("{} images have an empty mask\n", empty_masks_);
    return text;
  }

  void write() const {
    const auto put = [this](const char* name, const std::string& text) {
      io::write_file(o_.output_dir / name, text.data(), text.size());
    };
    if (o_.overwrite) remove_results(o_.output_dir, is_evaluation_result);
    const std::string flags = ordered_json{{"protocol", o_.protocol}, {"flags", to_json(o_.flags)}}.dump();
    scores_.write_csv(o_.output_dir);
    if (!curves_.empty()) curves_.write(o_.output_dir / "pf_curves.npz", flags);
    if (o_.save_maps) archive_.write(o_.output_dir / "maps.npz", flags);
    put("config.toml", o_.config_toml);
    put("summary.md", fmt::format("{}\n\nmean ± standard deviation over images (n)\n\n{}{}{}", heading(),
                                  scores_.markdown(), notes().empty() ? "" : "\n", notes()));
    put("summary.json", summary().dump(2) + "\n");
    std::cout << heading() << "\n\n" << scores_.table();
    if (!notes().empty()) std::cout << '\n' << notes();
    std::cout << fmt::format("\nscores: {}\n", o_.output_dir.string());
  }

  const EvaluationOptions& o_;
  Device device_;
  data::Dataset set_;
  std::unique_ptr<nn::Model> model_;
  Batches batches_;
  Explainer explainer_;
  xai::PixelFlippingOptions flipping_;
  xai::Bounds bounds_;
  std::vector<std::string> cams_;  // the methods that are not random
  std::vector<GivenMaps> given_;
  Tensor noise_;
  std::map<std::string, std::string> skipped_;
  Scores scores_;
  Curves curves_;
  MapArchive archive_;
  std::map<std::string, std::int64_t> zero_, opposed_;
  std::int64_t empty_masks_ = 0;
  Stopwatch watch_;
  // The device's work on a batch, beside that of explainer_: captured where it is the same batch after batch.
  Replayed classify_;                  // whole batches of pixel flipping
  Replayed measure_, measure_ranked_;  // all maps of a batch
  Replayed compare_;                   // pairs of maps
  Replayed locate_;                    // maps and masks
};

}  // namespace

int evaluate(const EvaluationOptions& options) {
  handle_stop_signals();
  return Evaluation(options).run();
}

}  // namespace clx::app
