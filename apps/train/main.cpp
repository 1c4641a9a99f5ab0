// clx-train: trains an image classifier with cross-entropy and writes a run folder.
#include <iostream>

#include "apps/support/options.h"
#include "apps/support/program.h"
#include "apps/train/training.h"

namespace clx::app {
namespace {

int main_of_train(int argc, char** argv) {
  TrainingOptions o;
  Options options("clx-train",
                  "Trains an image classifier and writes a run folder: checkpoints, metrics, configuration.");
  options.group("Output");
  options.add("output-dir", &o.output_dir, "run folder; the run itself goes to <output-dir>/seed<seed>");
  options.add("overwrite", &o.overwrite, "replace a run that is already there");
  options.add("log-interval", &o.log_interval, "steps between two reads of the loss").range(1, 1e6);
  options.add("quiet", &o.quiet, "no progress");
  add_data_options(options, &o.data);
  options
      .add("augment", &o.augment,
           "augmentation of training images: none, or crop-flip (random crop out of the image padded by 4, "
           "mirror)")
      .choices({"none", "crop-flip"});
  options.group("Model");
  add_architecture_options(options, &o.architecture);
  options.group("Optimisation");
  options.add("epochs", &o.epochs, "passes over the training set").range(1, 1e5);
  options.add("batch-size", &o.batch_size, "images per step; the last partial batch is dropped")
      .letter('b')
      .range(2, 1 << 20);
  options.add("lr", &o.lr, "learning rate after warm-up").range(0, 1e3);
  options.add("momentum", &o.optimizer.momentum, "momentum of SGD").range(0, 1);
  options.add("nesterov", &o.optimizer.nesterov, "Nesterov momentum");
  options.add("weight-decay", &o.optimizer.weight_decay, "L2 penalty, on all parameters").range(0, 1);
  options.add("warmup-epochs", &o.warmup_epochs, "epochs of linear warm-up from 0.1·lr").range(0, 1e5);
  options.add("label-smoothing", &o.label_smoothing, "ε of label smoothing").range(0, 0.999);
  options.add("seed", &o.seed, "seed of initialisation, order and augmentation");
  add_compute_options(options, &o.compute);
  if (const auto code = options.parse(argc, argv)) return *code;
  o.config_toml = options.to_toml();
  o.command.assign(argv, argv + argc);
  return train(o);
}

}  // namespace
}  // namespace clx::app

int main(int argc, char** argv) {
  return clx::app::run_program(argc, argv, clx::app::main_of_train);
}
