#include "runtime/ops/pil_augment.h"

namespace clx {
namespace {

io::Image change(const io::Image& x, ColorOp op, float factor) {
  switch (op) {
    case ColorOp::brightness:
      return io::adjust_brightness(x, factor);
    case ColorOp::contrast:
      return io::adjust_contrast(x, factor);
    case ColorOp::saturation:
      return io::adjust_saturation(x, factor);
    default:
      return io::adjust_hue(x, factor);
  }
}

}  // namespace

io::Image pil_augment(const io::Image& x, const AugmentOptions& options, const Augmentation& drawn) {
  const Box& box = drawn.box;
  io::Image y = options.resized_crop ? io::resized_crop(x, box.top, box.left, box.height, box.width,
                                                        options.height > 0 ? options.height : x.height,
                                                        options.width > 0 ? options.width : x.width)
                                     : io::crop_padded(x, box.top, box.left, box.height, box.width);
  if (drawn.mirrored) y = io::mirror(y);
  for (int i = 0; i < drawn.color_ops; ++i)
    y = change(y, drawn.order[i], drawn.factor[static_cast<int>(drawn.order[i])]);
  return drawn.gray ? io::grayscale(y) : y;
}

}  // namespace clx
