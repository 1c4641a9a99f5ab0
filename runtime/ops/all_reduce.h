// Sums over processes.
#pragma once

#include <vector>

#include "runtime/communicator.h"
#include "runtime/tensor.h"

namespace clx {

/// The sum of the x of all processes, in the order of their ranks: the same bits everywhere and every time.
///
/// Shapes    x f32, of the same shape in every process → like x
/// Gradient  none
/// Throws    Error if x is not f32; std::runtime_error if processes differ in size; PeerLost
Tensor all_reduce(const Tensor& x, Communicator& across);

/// Replaces the gradient of every parameter that has one by its sum over all processes, between `backward`
/// and the optimizer's step. All in one pass through one buffer.
///
/// Shapes    the same parameters, in the same order and with gradients, in every process
/// Throws    as all_reduce
void all_reduce_gradients(const std::vector<Tensor>& parameters, Communicator& across);

}  // namespace clx
