// One oneDNN convolution, ready to run: primitive, weight reorder, memory descriptors.
#pragma once

#include <array>
#include <unordered_map>

#include "kernels/conv2d.h"
#include "kernels/cpu/onednn.h"

namespace clx::kernels {

enum class ConvolutionKind : int { forward, backward_data, backward_weight };

/// All that a primitive depends on.
struct ConvolutionKey {
  ConvolutionKind kind;
  Conv2dShape shape;
  DType dtype;
  bool bias = false, residual = false, relu = false;
  int threads = 1;

  std::array<int, 16> numbers() const;
};

/// Operands of one run in the order of the kind: forward (x, w) → y; backward_data (dy, w) → dx;
/// backward_weight (x, dy) → dw (f32).
struct ConvolutionOperands {
  const void *a, *b;
  void* out;
  const float* bias = nullptr;
  const void* residual = nullptr;
};

/// Belongs to one thread: the memory handles inside are set anew by each run.
class Convolution {
 public:
  explicit Convolution(const ConvolutionKey& key);

  /// Activations NHWC, filters KRSC, all in place; scratch from the backend.
  void run(const Cpu& backend, const ConvolutionOperands& operands);

  /// The calling thread's convolution for `key`, made on first use.
  static Convolution& cached(const ConvolutionKey& key);

 private:
  using Arguments = std::unordered_map<int, dnnl::memory>;

  void make_forward(const ConvolutionKey& key);
  void make_backward_data(const ConvolutionKey& key);
  void make_backward_weight(const ConvolutionKey& key);
  void finish(const dnnl::primitive& primitive,
              const dnnl::memory::desc& w,
              const dnnl::memory::desc& scratchpad,
              int weight_argument);

  ConvolutionKind kind_;
  dnnl::memory::desc x_desc_, w_desc_, y_desc_;  // as the caller has them
  dnnl::primitive primitive_, reorder_;
  bool reorders_ = false;
  dnnl::memory x_, w_user_, w_, y_, bias_, residual_, scratchpad_, reorder_scratchpad_;
  Arguments arguments_, reorder_arguments_;
};

}  // namespace clx::kernels
