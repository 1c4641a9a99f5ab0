#include "kernels/cpu/image_rows.h"

#include <algorithm>
#include <cstring>

namespace clx::kernels {
namespace {

constexpr float kOne = 1.0f / 255;

int most_taps(const AugmentShape& s) {
  const int shrink = s.rule.resize ? (s.W + s.width - 1) / s.width : 1;
  return 2 * std::max(shrink, 1) + 1;
}

std::int64_t table_floats(const AugmentShape& s) {
  return lanes_over(s.width) * most_taps(s);
}

// A whole row of the input or of the output, whichever is longer, and room for a vector pair read at its end.
std::int64_t row_pixels(const AugmentShape& s) {
  return lanes_over(std::max(s.W, s.width)) + 2 * kLanes;
}

}  // namespace

std::int64_t ImageRows::scratch_floats(const AugmentShape& s) {
  const std::int64_t groups = lanes_over(s.width) / kLanes * static_cast<std::int64_t>(sizeof(Group)) / 4;
  return lanes_over(groups) + 2 * table_floats(s) + 2 * s.C * row_pixels(s);
}

ImageRows::ImageRows(const AugmentShape& s, float* scratch)
    : s_(s), most_taps_(most_taps(s)), groups_(lanes_over(s.width) / kLanes), narrow_stride_(row_pixels(s)) {
  group_ = reinterpret_cast<Group*>(scratch);
  scratch += lanes_over(groups_ * static_cast<std::int64_t>(sizeof(Group)) / 4);
  index_ = reinterpret_cast<std::int32_t*>(scratch);
  weight_ = scratch + table_floats(s);
  row_ = weight_ + table_floats(s);
  narrow_ = row_ + s.C * row_pixels(s);
  std::fill(row_, narrow_ + s.C * row_pixels(s), 0.0f);
}

void ImageRows::start(const std::uint8_t* image, const Box& box, bool mirrored) {
  image_ = image;
  box_ = box;
  mirrored_ = mirrored;
  if (s_.rule.resize) plan_columns();
}

void ImageRows::plan_columns() {
  for (std::int64_t g = 0; g < groups_; ++g) {
    const int begin = static_cast<int>(g) * kLanes, end = std::min(s_.width, begin + kLanes);
    FilterSpan span[kLanes];
    int base = box_.width, last = 0, taps = 0;
    for (int x = begin; x < end; ++x) {
      const FilterSpan& f = span[x - begin] =
          filter_span(box_.width, s_.width, mirrored_ ? s_.width - 1 - x : x);
      base = std::min(base, f.first);
      last = std::max(last, f.first + f.count - 1);
      taps = std::max(taps, f.count);
    }
    group_[g] = {base, taps, last - base < 2 * kLanes};
    std::int32_t* index = index_ + g * most_taps_ * kLanes;
    float* weight = weight_ + g * most_taps_ * kLanes;
    std::memset(index, 0, sizeof(*index) * static_cast<std::size_t>(taps * kLanes));
    std::fill_n(weight, taps * kLanes, 0.0f);
    for (int lane = 0; lane < end - begin; ++lane) {
      const FilterSpan& f = span[lane];
      double sum = 0;
      for (int t = 0; t < f.count; ++t)
        sum += f.weight(t);
      for (int t = 0; t < f.count; ++t) {
        index[t * kLanes + lane] = f.first + t - base;
        weight[t * kLanes + lane] = static_cast<float>(f.weight(t) / sum);
      }
    }
  }
}

// row_ = Σ weight·(row of the box)/255 over the rows under the filter, channels interleaved.
void ImageRows::blend_rows(const FilterSpan& span) const {
  const std::int64_t stride = std::int64_t(s_.W) * s_.C;
  const std::uint8_t* in =
      image_ + (box_.top + span.first) * stride + static_cast<std::int64_t>(box_.left) * s_.C;
  const int n = box_.width * s_.C;
  float* __restrict__ row = row_;
  double sum = 0;
  for (int k = 0; k < span.count; ++k)
    sum += span.weight(k);
  const auto weight = [&](int k) {
    return k < span.count ? static_cast<float>(span.weight(k) / sum) * kOne : 0.0f;
  };
  {
    const float w0 = weight(0), w1 = weight(1);
    const std::uint8_t* __restrict__ a = in;
    const std::uint8_t* __restrict__ b = span.count > 1 ? in + stride : in;
    for (int i = 0; i < n; ++i)
      row[i] = w0 * static_cast<float>(a[i]) + w1 * static_cast<float>(b[i]);
  }
  for (int k = 2; k < span.count; ++k) {
    const float w = weight(k);
    const std::uint8_t* __restrict__ a = in + k * stride;
    for (int i = 0; i < n; ++i)
      row[i] += w * static_cast<float>(a[i]);
  }
}

void ImageRows::read_resized(int h, const PlaneRow& out) const {
  blend_rows(filter_span(box_.height, s_.height, h));
  PlaneRow narrow;
  for (int c = 0; c < s_.C; ++c)
    narrow.channel[c] = narrow_ + c * narrow_stride_;
  deinterleave(row_, box_.width, s_.C, narrow);
  for (std::int64_t g = 0; g < groups_; ++g) {
    const Group& group = group_[g];
    const std::int32_t* index = index_ + g * most_taps_ * kLanes;
    const float* weight = weight_ + g * most_taps_ * kLanes;
    for (int c = 0; c < s_.C; ++c) {
      const float* in = narrow.channel[c] + group.base;
      Vec sum{};
      if (group.near) {
        const Vec low = load(in), high = load(in + kLanes);
        for (int t = 0; t < group.taps; ++t) {
          VecBits at;
          std::memcpy(&at, index + t * kLanes, sizeof at);
          sum += load(weight + t * kLanes) * pick(low, high, at);
        }
      } else {
        for (int t = 0; t < group.taps; ++t) {
          Vec value;
          for (int lane = 0; lane < kLanes; ++lane)
            value[lane] = in[index[t * kLanes + lane]];
          sum += load(weight + t * kLanes) * value;
        }
      }
      store(out.channel[c] + g * kLanes, sum);
    }
  }
}

void ImageRows::read_cropped(int h, const PlaneRow& out) const {
  const int C = s_.C, y = h + box_.top;
  const int from = std::clamp(-box_.left, 0, s_.width), to = std::clamp(s_.W - box_.left, from, s_.width);
  if (y < 0 || y >= s_.H || from == to) {
    for (int c = 0; c < C; ++c)
      std::fill_n(out.channel[c], lanes_over(s_.width), 0.0f);
    return;
  }
  const std::uint8_t* in = image_ + (std::int64_t(y) * s_.W + box_.left + from) * C;
  std::fill_n(row_, from * C, 0.0f);
  for (int i = 0; i < (to - from) * C; ++i)
    row_[from * C + i] = static_cast<float>(in[i]) * kOne;
  std::fill(row_ + to * C, row_ + lanes_over(s_.width) * C, 0.0f);
  deinterleave(row_, s_.width, C, out);
  if (mirrored_)
    for (int c = 0; c < C; ++c)
      std::reverse(out.channel[c], out.channel[c] + s_.width);
}

void ImageRows::read(int h, const PlaneRow& out) const {
  if (s_.rule.resize)
    read_resized(h, out);
  else
    read_cropped(h, out);
}

}  // namespace clx::kernels
