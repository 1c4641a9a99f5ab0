// Labelled images, in memory or read when they are needed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/tensor.h"

namespace clx::data {

enum class Split { train, test };

/// What a model keeps of the data it was trained on.
struct DatasetInfo {
  std::string name;                      // "cifar10", "shapes"; empty if unknown
  std::vector<std::string> class_names;  // empty if unknown
  std::vector<float> mean, std;          // per channel, of pixels in [0,1]; empty if unknown
};

class ImageSource;

/// How images of any size become squares of one size without chance: an image of that size already is taken
/// as it is; of any other the shorter side becomes `shorter`, then the middle is cut out.
struct Square {
  int side = 224;
  int shorter = 0;  // 0: ⌊side·256/224⌋; if given, images of the right size are resized, too
};

/// What counts as the object in a mask file.
enum class MaskRule {
  any,       // what is not zero in any channel; nearest pixels
  class_id,  // where R + 256·G is the label + 1, as ImageNet-S numbers its 50 classes; nearest pixels
  blended,   // where R is above zero after bilinear interpolation, as the published evaluation has it:
             // all classes and what ImageNet-S says to ignore count, and objects are a little larger
};

/// Images with their classes: either resident (images of one size, on the cpu) or, with a `source`, read when
/// they are needed (nn/data/image_source.h).
struct Dataset {
  std::string name;
  Tensor images;                              // (M,H,W,C) u8; undefined if there is a source
  std::shared_ptr<const ImageSource> source;  // M images of any size; null if they are resident
  Square square;                              // what becomes of the source's images
  std::vector<std::int32_t> labels;           // M values within 0 … class_names.size() − 1
  std::vector<std::string> class_names;
  Tensor masks;                           // (M,H,W) u8, 1 on the object; undefined where there are none
  MaskRule mask_rule = MaskRule::any;     // how the masks of a source become `masks`
  std::vector<float> mean, std;           // per channel, of pixels in [0,1]
  std::vector<std::string> bad_images{};  // left out because they could not be read: why

  std::int64_t size() const { return static_cast<std::int64_t>(labels.size()); }
  /// Of the images that a model sees.
  std::int64_t height() const { return images.defined() ? images.dim(1) : square.side; }
  std::int64_t width() const { return images.defined() ? images.dim(2) : square.side; }
  /// The labels as a tensor (M) i32.
  Tensor label_tensor() const;
  DatasetInfo info() const { return {name, class_names, mean, std}; }
  /// The first `count` images (all, if there are fewer); of a source, whose images come class by class, as
  /// many evenly spread ones. Shares storage. Throws Error if count < 1.
  Dataset first(std::int64_t count) const;
};

}  // namespace clx::data
