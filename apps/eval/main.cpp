// clx-eval: measures how good a model's explanations are.
#include <iostream>

#include "apps/eval/evaluation.h"
#include "apps/support/options.h"
#include "apps/support/program.h"

namespace clx::app {
namespace {

int main_of_eval(int argc, char** argv) {
  EvaluationOptions o;
  Options options(
      "clx-eval",
      "Evaluates explanations: pixel flipping, complexity, sparseness and, where there are masks, the "
      "pointing game and attribution localisation. Writes one CSV per metric and a summary.");
  options.group("Output");
  options.add("output-dir", &o.output_dir, "folder for the scores");
  options.add("quiet", &o.quiet, "no progress");
  options.group("Metrics");
  options.add("metric", &o.metrics, "metrics to compute; coherence needs masks")
      .choices({"pixel-flipping", "complexity", "sparseness", "coherence"});
  options
      .add("pf-step", &o.pixel_flipping.pixels_per_step, "pixels flipped at each step; 0: the image's width")
      .range(0, 1 << 20);
  options.add("pf-baseline", &o.pixel_flipping.baseline,
              {{"image-min", xai::FlipBaseline::image_min}, {"zero", xai::FlipBaseline::zero}},
              "what flipped pixels become, in normalised space");
  options.add("pf-class", &o.pf_class, "class whose score is followed").choices({"true", "predicted"});
  options.add("control", &o.control, "also score random maps, which every explanation should beat");
  add_model_options(options, &o.model);
  add_data_options(options, &o.data);
  add_explain_options(options, &o.explain);
  add_compute_options(options, &o.compute);
  inherit_data_of_run(options);
  if (const auto code = options.parse(argc, argv)) return *code;
  o.config_toml = options.to_toml();
  return evaluate(o);
}

}  // namespace
}  // namespace clx::app

int main(int argc, char** argv) {
  return clx::app::run_program(argc, argv, clx::app::main_of_eval);
}
