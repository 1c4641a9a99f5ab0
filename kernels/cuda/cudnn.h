// Convolutions by cuDNN, and the pass after them.
#pragma once

#include <stdexcept>

#include "kernels/conv2d.h"

namespace clx::kernels {

/// Contracts as in conv2d.h, without an epilogue, by the first deterministic algorithm that cuDNN suggests
/// for the shape. dw of bf16 operands is rounded to bf16, the only type cuDNN has for it. Throws
/// std::runtime_error if the library is missing or knows no such algorithm
void cudnn_forward(const Cuda&, const Conv2dShape&, Math, ConstView x, ConstView w, View y);
void cudnn_backward_data(const Cuda&, const Conv2dShape&, Math, ConstView dy, ConstView w, View dx);
void cudnn_backward_weight(const Cuda&, const Conv2dShape&, Math, ConstView x, ConstView dy, float* dw);

/// The library runs on GPUs alone; the callers' callers have seen to it that these are never called.
template <class... Arguments>
void cudnn_forward(const Emulated&, const Arguments&...) {
  throw std::logic_error("cuDNN: expected a GPU, got the emulator");
}
template <class... Arguments>
void cudnn_backward_data(const Emulated&, const Arguments&...) {
  throw std::logic_error("cuDNN: expected a GPU, got the emulator");
}
template <class... Arguments>
void cudnn_backward_weight(const Emulated&, const Arguments&...) {
  throw std::logic_error("cuDNN: expected a GPU, got the emulator");
}

/// y = the epilogue of y (pixels,K), in place.
void conv2d_epilogue(const Cuda&, std::int64_t pixels, int K, const Conv2dEpilogue&, View y);
void conv2d_epilogue(const Emulated&, std::int64_t pixels, int K, const Conv2dEpilogue&, View y);

}  // namespace clx::kernels
