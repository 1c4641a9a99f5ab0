// Batch normalisation, with an optional residual and ReLU in the same pass.
#pragma once

#include "runtime/tensor.h"

namespace clx {

class Communicator;

struct BatchNormOptions {
  bool training = false;  // normalise with the batch's statistics and update the running ones
  float momentum = 0.1f;
  float eps = 1e-5f;
  bool relu = false;
  Tensor residual{};  // like x, added before the ReLU
  // In training: (parts,C,3) f32, the moments of x's channels in parts, of Conv2dOptions::moments; x need not
  // be read for them then. May be undefined.
  Tensor moments{};
  // In training: the batch is that of all these processes together, each of which holds equally many
  // positions. It must live until backward, which all call. Null: this process's own batch.
  Communicator* across = nullptr;
};

/// Normalises each channel (last axis) over all other axes.
///
///   y = relu?( gamma·(x − mean)/√(var + eps) + beta + residual? )
///
/// In training mean and var (biased) are the batch's, and running ← (1 − momentum)·running +
/// momentum·batch with the unbiased variance. In evaluation they are the running ones.
///
/// Shapes    x (…,C) f32 or bf16; gamma, beta, running_* (C) f32; y like x
/// Gradient  x, gamma, beta and residual; through the batch's statistics in training. Across processes the
///           gradients of gamma and beta are this process's part of the sum, as those of all parameters are
/// Throws    Error if C differs, x is empty, or training sees one value per channel; PeerLost
/// Notes     running_* are written in place in training. Statistics are f32, summed in a fixed order.
/// Source    Ioffe & Szegedy 2015, arXiv:1502.03167, algorithm 1
Tensor batchnorm(const Tensor& x,
                 const Tensor& gamma,
                 const Tensor& beta,
                 Tensor& running_mean,
                 Tensor& running_var,
                 const BatchNormOptions& options = {});

}  // namespace clx
