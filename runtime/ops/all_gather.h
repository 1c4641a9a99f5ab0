// The rows of every process, in every process.
#pragma once

#include "runtime/communicator.h"
#include "runtime/tensor.h"

namespace clx {

struct AllGatherOptions {
  int views = 1;  // x is this many equal blocks of rows; the result has all first blocks, then all second …
};

/// Concatenates the x of all processes by rank, view by view: with two views, the first views of the whole
/// batch and then the second ones, as one process has them.
///
/// Shapes    x (V·n,…) of any dtype → (V·size·n,…), the same everywhere; n is the same in every process
/// Gradient  x, of f32 and bf16: dx is this process's own rows of dy. That is right if every process computes
///           the same loss from the result and the gradients of parameters below are summed over processes
///           afterwards (all_reduce_gradients). A parameter that acts between here and the loss would
///           be counted once per process.
/// Throws    Error if x is empty or `views` does not divide its rows; std::runtime_error if processes differ
///           in bytes; PeerLost
Tensor all_gather(const Tensor& x, Communicator& across, const AllGatherOptions& options = {});

}  // namespace clx
