// Labelled images in memory.
#pragma once

#include <cstdint>
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

/// Images of one size with their classes, on the cpu.
struct Dataset {
  std::string name;
  Tensor images;                     // (M,H,W,C) u8
  std::vector<std::int32_t> labels;  // M values within 0 … class_names.size() − 1
  std::vector<std::string> class_names;
  Tensor masks;                  // (M,H,W) u8, 1 on the object; undefined where there are none
  std::vector<float> mean, std;  // per channel, of pixels in [0,1]

  std::int64_t size() const { return static_cast<std::int64_t>(labels.size()); }
  /// The labels as a tensor (M) i32.
  Tensor label_tensor() const;
  DatasetInfo info() const { return {name, class_names, mean, std}; }
  /// The first `count` images (all, if there are fewer). Shares storage. Throws Error if count < 1.
  Dataset first(std::int64_t count) const;
};

}  // namespace clx::data
