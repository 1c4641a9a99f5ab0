// Residual networks.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "nn/models/model.h"
#include "nn/modules/residual_block.h"

namespace clx::nn {

struct ResnetOptions {
  int classes = 10;                         // of a classifier; without meaning for the other head
  double width = 1;                         // factor of all channel counts, rounded to multiples of 4
  Shortcut shortcut = Shortcut::subsample;  // of the CIFAR nets; the others always project
  Head head = Head::classifier;
  int projection = 128;  // outputs of a projection head
};

/// Names that make_model knows.
std::vector<std::string> architectures();

/// A network in evaluation mode with fresh parameters drawn from `seed`; without a seed the random ones are
/// zero, for weights that are loaded next.
///
///   resnet20 / 32 / 44 / 56   3×3 stem and three stages of 3 / 5 / 7 / 9 basic blocks of 16, 32, 64 channels
///   resnet18-cifar            3×3 stem without pooling and four stages of 2 basic blocks, 64 … 512 channels
///   resnet50                  7×7 stem with pooling and 3, 4, 6, 3 bottlenecks, 256 … 2048 channels
///
/// With Head::projection the linear classifier is replaced by a ProjectionHead named projection.
///
/// Throws    Error if the architecture is unknown (with a suggestion), width ≤ 0, there are fewer than two
///           classes or no projection
/// Source    He et al. 2015, arXiv:1512.03385, §4.1 and §4.2. Names of parameters: torchvision's for
///           resnet18-cifar and resnet50, those of akamaster/pytorch_resnet_cifar10 for the CIFAR nets
std::unique_ptr<Model> make_model(const std::string& arch,
                                  const ResnetOptions& options = {},
                                  std::optional<std::uint64_t> seed = 0,
                                  Device device = kCpu,
                                  Precision precision = Precision::f32);

/// The options that a network of make_model was made with.
ResnetOptions resnet_options(const Model& model);

/// "A" or "B".
std::string name_of(Shortcut shortcut);

}  // namespace clx::nn
