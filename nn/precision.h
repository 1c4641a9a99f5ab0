// How exactly a network computes.
#pragma once

#include "runtime/tensor.h"

namespace clx::nn {

/// f32; tf32: f32 activations whose convolutions may round operands to 10 mantissa bits; bf16: activations
/// and convolution operands. Parameters, batch statistics, pooled features, head and losses are f32 always.
enum class Precision { f32, tf32, bf16 };

/// The type of a network's activations, its input's included.
constexpr DType activation_dtype(Precision precision) {
  return precision == Precision::bf16 ? DType::bf16 : DType::f32;
}

}  // namespace clx::nn
