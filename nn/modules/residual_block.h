// The blocks of residual networks.
#pragma once

#include <memory>
#include <string>

#include "nn/modules/normalized_conv2d.h"

namespace clx::nn {

/// What carries a block's input past it where the shape changes.
enum class Shortcut {
  subsample,   // option A: every second pixel, zeros for the new channels; no parameters
  projection,  // option B: 1×1 convolution and batch normalisation
};

/// A block's place in its network.
struct BlockSize {
  int in = 0;     // channels that come in
  int width = 0;  // channels of the 3×3 convolutions
  int stride = 1;
  Shortcut shortcut = Shortcut::projection;  // where the shape changes; the identity elsewhere
  std::string shortcut_name = "downsample";  // under which PyTorch's code registers it
  Precision precision = Precision::f32;
};

/// relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x)) with 3×3 convolutions, the first with the stride.
/// Shapes    (N,H,W,in) → (N,⌈H/stride⌉,⌈W/stride⌉,width)
/// Source    He et al. 2015, arXiv:1512.03385, fig. 2 and §4.2
std::unique_ptr<Module> make_basic_block(Initializer& initializer, const BlockSize& size);

/// 1×1, 3×3, 1×1 (to 4·width channels), each with batch normalisation; the 3×3 has the stride ("v1.5").
/// The last scale starts at zero, so that the block starts as its shortcut.
/// Shapes    (N,H,W,in) → (N,⌈H/stride⌉,⌈W/stride⌉,4·width)
/// Source    He et al. 2015, arXiv:1512.03385, fig. 5. Differs from the paper: there the first 1×1 has the
///           stride; zero scale: Goyal et al. 2017, arXiv:1706.02677, §5.1
std::unique_ptr<Module> make_bottleneck(Initializer& initializer, const BlockSize& size);

}  // namespace clx::nn
