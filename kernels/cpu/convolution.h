// One oneDNN convolution on one thread, ready to run.
#pragma once

#include <array>
#include <memory>
#include <vector>

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

  std::array<int, 14> numbers() const;
};

/// Operands in the order of the kind: forward (x, w) → y; backward_data (dy, w) → dx; backward_weight
/// (x, dy) → dw (f32). Activations are NHWC; filters are in filter_desc()'s layout.
struct ConvolutionOperands {
  const void *a, *b;
  void* out;
  const float* bias = nullptr;
  const void* residual = nullptr;
};

/// Immutable: any number of threads may run it at once, each with scratch memory of its own.
class Convolution {
 public:
  explicit Convolution(const ConvolutionKey& key);

  void run(const ConvolutionOperands& operands, void* scratch) const;
  std::size_t scratch_bytes() const { return scratch_desc_.get_size(); }

  /// The filter layout that oneDNN chose, and KRSC.
  const dnnl::memory::desc& filter_desc() const { return filter_desc_; }
  const dnnl::memory::desc& krsc_desc() const { return krsc_desc_; }

  /// The convolution for `key`, made on first use. Thread-safe.
  static std::shared_ptr<const Convolution> cached(const ConvolutionKey& key);

 private:
  void make_forward(const ConvolutionKey& key);
  void make_backward_data(const ConvolutionKey& key);
  void make_backward_weight(const ConvolutionKey& key);

  ConvolutionKind kind_;
  dnnl::memory::desc x_desc_, y_desc_, bias_desc_, krsc_desc_, filter_desc_, scratch_desc_;
  dnnl::primitive primitive_;
};

}  // namespace clx::kernels
