// clx-eval: measures how good a model's explanations are.
#include <algorithm>
#include <array>
#include <iostream>

#include "apps/eval/evaluation.h"
#include "apps/eval/protocol.h"
#include "apps/support/byte_size.h"
#include "apps/support/options.h"
#include "apps/support/program.h"

namespace clx::app {
namespace {

struct Texts {
  std::string mask_mode = "clean", max_memory = "auto";
};

void add_output_options(Options& options, EvaluationOptions& o) {
  options.group("Output");
  options.add("output-dir", &o.output_dir, "folder for the scores");
  options.add("overwrite", &o.overwrite, "replace the scores that the folder holds");
  options.add("save-maps", &o.save_maps, "write maps.npz: maps, raw maps, flags, classes");
  options.add("quiet", &o.quiet, "no progress");
}

void add_metric_options(Options& options, EvaluationOptions& o, Texts& texts) {
  const auto populations = [] {
    return std::vector<std::pair<std::string, Population>>{{"all", Population::all},
                                                           {"correct", Population::correct}};
  };
  options.group("Metrics");
  options.add("protocol", &o.protocol, protocol_help()).choices({"paper", "reference"});
  options.add("metric", &o.metrics, "metrics to compute; coherence needs masks")
      .choices({"pixel-flipping", "continuity", "contrastivity", "complexity", "sparseness", "coherence"});
  options.add("controls", &o.controls, "also score random maps and 1 − map, which say what chance scores")
      .choices({"random", "inverted", "none"});
  options.add(
      "filter", &o.filter, populations(),
      "images that count in the summary: all, or those the model classifies correctly; the tables hold "
      "all");
  options.add("coherence-filter", &o.coherence_filter, populations(), "the same for coherence");
  options.add("maps", &o.maps, ".npz or .npy of maps (N,H,W), by any tool, to score instead of our own");
  options.add("max-memory", &texts.max_memory,
              "most memory for the images of pixel flipping, as 2G; auto: 2G on a GPU, on a CPU 64M for each "
              "thread, which its caches like; does not change the result");

  options.group("Pixel flipping");
  options
      .add("pf-step", &o.pixel_flipping.pixels_per_step, "pixels flipped at each step; 0: the image's width")
      .range(0, 1 << 20);
  options.add("pf-mode", &o.pixel_flipping.mode,
              {{"pixel", xai::FlipMode::pixel}, {"channel", xai::FlipMode::channel}},
              "what a step removes: pixels (Quantus 0.5) or single channels of pixels (Quantus 0.6)");
  options.add("pf-baseline", &o.pixel_flipping.baseline,
              {{"image-min", xai::FlipBaseline::image_min},
               {"zero", xai::FlipBaseline::zero},
               {"true-black", xai::FlipBaseline::true_black},
               {"mean", xai::FlipBaseline::mean}},
              "what flipped pixels become: the image's least normalised value, 0, black, the image's mean");
  options.add("pf-class", &o.pf_class, "class whose score is followed; target: the one explained")
      .choices({"true", "predicted", "target"});
  options.add("pf-auc", &o.pf_auc, "area that PF_AUC is: without or with the unchanged image's score")
      .choices({"without-p0", "with-p0"});

  options.group("Continuity and contrastivity");
  StabilityOptions& s = o.stability;
  options.add("noise-sigma", &s.noise_sigma, "standard deviation of the noise, in normalised space")
      .range(0, 100);
  options.add("noise-seed", &s.noise_seed, "seed of the noise");
  options.add("noise", &s.noise, ".npy of noise (N,H,W,C) or (N,C,H,W) to add instead");
  options.add("continuity-clamp", &s.clamp,
              {{"none", NoiseClamp::none},
               {"reference", NoiseClamp::reference},
               {"valid-range", NoiseClamp::valid_range}},
              "cut normalised images with noise off: nowhere, at 0 and 1, or at what 0 and 255 become");
  options.add("contrast-class", &s.contrast,
              {{"random", ContrastClass::random},
               {"runner-up", ContrastClass::runner_up},
               {"least-likely", ContrastClass::least_likely},
               {"all", ContrastClass::all}},
              "other class whose map is compared; all: the mean over all of them");
  options.add("contrast-seed", &s.contrast_seed, "seed of the random class");
  options.add("zero-ssim", &s.zero_maps, "pairs with a map that is zero everywhere: skip (NaN) or keep")
      .choices({"skip", "keep"});
  options.add("ssim-window", &s.ssim.window, "side of SSIM's window, odd").range(3, 31);

  options.group("Coherence");
  options.add("coherence-target", &o.coherence_target, "class whose maps are compared with the masks")
      .choices({"target", "true"});
  options.add("coherence-aug-smooth", &o.coherence_aug_smooth, "--aug-smooth for coherence only");
  options
      .add("mask-mode", &texts.mask_mode,
           "clean: nearest pixels, the image's own class; reference: bilinear, red above zero")
      .choices({"clean", "reference"});
  options
      .add("zero-coherence", &o.zero_coherence,
           "maps that are zero everywhere: skip (NaN), or a spike of 0.001 at the top left")
      .choices({"skip", "spike"});
}

// The options without those that only say where and how fast.
Options::Values deciding(const Options::Values& all) {
  constexpr std::array<std::string_view, 10> kOthers{"output-dir", "overwrite", "save-maps", "quiet",
                                                     "batch-size", "threads",   "workers",   "max-memory",
                                                     "graph",      "protocol"};
  Options::Values values;
  for (const auto& value : all)
    if (std::ranges::find(kOthers, value.first) == kOthers.end()) values.push_back(value);
  return values;
}

int main_of_eval(int argc, char** argv) {
  EvaluationOptions o;
  Texts texts;
  Options options(
      "clx-eval",
      "Evaluates explanations: pixel flipping, continuity, contrastivity, complexity, sparseness and, "
      "where there are masks, the pointing game and attribution localisation. Writes one CSV per "
      "metric and a summary.");
  add_output_options(options, o);
  add_metric_options(options, o, texts);
  add_model_options(options, &o.model);
  add_data_options(options, &o.data);
  add_explain_options(options, &o.explain);
  add_compute_options(options, &o.compute);
  add_graph_option(options, &o.explain.graph, "the work on a batch of images");
  inherit_data_of_run(options);
  options.preset("protocol", protocol_values);
  if (const auto code = options.parse(argc, argv)) return *code;
  if (o.stability.ssim.window % 2 == 0)
    throw UsageError(concat("ssim-window: expected an odd number, got ", o.stability.ssim.window));
  o.pixel_flipping.max_memory = texts.max_memory == "auto" ? 0 : parse_byte_size(texts.max_memory);
  o.data.reference_masks = texts.mask_mode == "reference";
  o.config_toml = options.to_toml();
  o.flags = deciding(options.values());
  return evaluate(o);
}

}  // namespace
}  // namespace clx::app

int main(int argc, char** argv) {
  return clx::app::run_program(argc, argv, clx::app::main_of_eval);
}
