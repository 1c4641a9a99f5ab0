// One drawn augmentation in 8 bits, with Pillow's very bytes.
#pragma once

#include "runtime/io/pil.h"
#include "runtime/ops/augment.h"

namespace clx {

/// The crop or resized crop, mirror, colours and grayscale that were drawn for this image (draw_augmentation
/// with the same options and the image's size). What follows them in a pipeline, blur and normalisation, is
/// in floats there too.
///
/// Throws  Error if jitter or grayscale were drawn for an image without three channels
/// Notes   The measure of augment_images, which does not round between the steps; and the way for images of
///         varying size (augment_batch does the rest once they have one).
io::Image pil_augment(const io::Image& x, const AugmentOptions& options, const Augmentation& drawn);

}  // namespace clx
