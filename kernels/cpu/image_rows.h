// The rows of a crop or resized crop of a u8 image, mirrored or not, as floats within [0,1].
#pragma once

#include <cstdint>

#include "kernels/augment.h"
#include "kernels/cpu/planes.h"
#include "kernels/resample.h"

namespace clx::kernels {

class ImageRows {
 public:
  /// Floats of scratch memory that images of this shape need.
  static std::int64_t scratch_floats(const AugmentShape&);

  /// `scratch` is 64-byte aligned.
  ImageRows(const AugmentShape&, float* scratch);

  /// Begins an image (H,W,C).
  void start(const std::uint8_t* image, const Box&, bool mirrored);
  /// Row h of the output of height×width.
  void read(int h, const PlaneRow& out) const;

 private:
  // A vector of neighbours of an output row: tap t of lane i is input pixel base + index[t][i] with
  // weight[t][i].
  struct Group {
    int base, taps;
    bool near;  // all within base … base + 31
  };

  void plan_columns();
  void read_cropped(int h, const PlaneRow& out) const;
  void read_resized(int h, const PlaneRow& out) const;
  void blend_rows(const FilterSpan& span) const;

  const AugmentShape& s_;
  int most_taps_;
  std::int64_t groups_;
  Group* group_;
  std::int32_t* index_;
  float *weight_, *row_, *narrow_;
  std::int64_t narrow_stride_;
  const std::uint8_t* image_ = nullptr;
  Box box_{};
  bool mirrored_ = false;
};

}  // namespace clx::kernels
