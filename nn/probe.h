// Linear probes: how well a linear classifier does on an encoder's features.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "nn/models/model.h"

namespace clx::nn {

enum class ProbeMode {
  full_batch,  // `epochs` steps of SGD on all samples at once: the published reference's probe
  minibatch,   // `epochs` passes of SGD over shuffled batches: the paper's text
  converged,   // L-BFGS to a gradient of `tolerance`: what both would reach
};
/// "full-batch", "minibatch", "converged".
std::string name_of(ProbeMode mode);

struct ProbeOptions {
  ProbeMode mode = ProbeMode::full_batch;
  bool normalize = true;  // divide each feature vector by its length
  // Of both kinds of SGD; the rate stays the same.
  int epochs = 100;
  float lr = 0.1f, momentum = 0.9f;
  int batch_size = 256;        // of minibatch; the last batch of a pass may be smaller
  float weight_decay = 1e-4f;  // on weight and bias; of converged (weight_decay/2)·‖·‖² in the loss
  double tolerance = 1e-7;     // of converged: the gradient's largest component
  int max_iterations = 2000;   // of converged
  std::uint64_t seed = 0;      // of initial values and order
};

/// A linear classifier on an encoder's pooled features.
struct Probe {
  Tensor weight, bias;     // (K,D), (K) f32, on the cpu
  bool normalized = true;  // it was fitted to features of length 1
  ProbeMode mode = ProbeMode::full_batch;
  std::string encoder{};                   // encoder_hash of the encoder; empty if unknown
  std::vector<std::string> class_names{};  // empty if unknown

  int classes() const { return static_cast<int>(weight.dim(0)); }
};

struct ProbeFit {
  Probe probe;
  double loss = 0;      // mean cross-entropy of the training samples at the end, without weight decay
  double gradient = 0;  // converged: the gradient's largest component
  int steps = 0;        // updates of the weights
  bool converged = true;
};

/// Where fitting starts; undefined: uniform in ±1/√D, drawn from the options' seed.
struct ProbeStart {
  Tensor weight{}, bias{};  // (K,D), (K) f32
};

/// Fits a probe to features as features_of gives them.
///
/// Shapes    features (N,D) f32, labels N values within 0 … classes − 1
/// Throws    Error if shapes or labels do not fit
/// Notes     The encoder and the class names are for the caller to fill in. full_batch runs on the features'
///           device, minibatch copies its batches there, converged runs on the cpu in double precision.
/// Source    The reference published with the paper takes 100 full-batch steps; the paper's text says 100
///           epochs. On features of length 1 the former leaves the classifier unsure: docs/training/probe.md
ProbeFit fit_probe(const Tensor& features,
                   const std::vector<std::int32_t>& labels,
                   int classes,
                   const ProbeOptions& options = {},
                   const ProbeStart& start = {});

/// Class scores. normalize: as the probe was fitted, unless said otherwise.
/// Shapes    features (N,D) f32 on any device → (N,K)
/// Gradient  with respect to features
Tensor probe_scores(const Probe& probe, const Tensor& features);
Tensor probe_scores(const Probe& probe, const Tensor& features, bool normalize);

/// Means over samples.
struct Confidence {
  double accuracy = 0;
  double max_probability = 0;   // of the softmax
  double true_probability = 0;  // the label's
};

/// Of scores (N,K) f32. Ties go to the lowest class. Throws Error if the number of labels is not N.
Confidence confidence_of(const Tensor& scores, const std::vector<std::int32_t>& labels);

/// Writes fc.weight and fc.bias, and as metadata clx.version, kind = linear probe, encoder, mode, normalized
/// and class_names.
/// Throws    Error if the file cannot be written; then the earlier file, if any, is still there
void save_probe(const std::filesystem::path& path, const Probe& probe);

/// The probe of a file of save_probe, or of one without metadata that holds fc.weight and fc.bias, which is
/// then taken on trust and for a probe of normalised features.
///
/// Throws    DataError if the file is missing, damaged, no probe, fitted to another encoder than `encoder` or
///           of another feature size
Probe load_probe(const std::filesystem::path& path, Model& encoder);

}  // namespace clx::nn
