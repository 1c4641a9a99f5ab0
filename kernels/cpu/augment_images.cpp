// One image at a time, row by row, so that a row passes all its steps in the first cache. A contrast needs
// the whole image before it, and a blur the rows around: only then are the planes of the image written and
// read again.
#include <algorithm>
#include <cmath>

#include "kernels/augment.h"
#include "kernels/cpu/image_colors.h"
#include "kernels/cpu/image_rows.h"
#include "kernels/cpu/parallel.h"

namespace clx::kernels {
namespace {

// (row − mean)/std, channels interleaved, to y.
template <class T>
void write_row(const PlaneRow& row, int width, int C, const Normalization& by, T* y) {
  float scale[4], offset[4];
  for (int c = 0; c < C; ++c) {
    scale[c] = 1 / by.std[c];
    offset[c] = -by.mean[c] / by.std[c];
  }
  if (C == 3) {
    const Interleave3 join;
    for (int i = 0; i < width; i += kLanes) {
      const Vec r = load(row.channel[0] + i) * scale[0] + offset[0];
      const Vec g = load(row.channel[1] + i) * scale[1] + offset[1];
      const Vec b = load(row.channel[2] + i) * scale[2] + offset[2];
      for (unsigned j = 0; j < 3; ++j) {
        const int at = 3 * i + static_cast<int>(j) * kLanes, left = 3 * width - at;
        if (left >= kLanes)
          store(y + at, join(j, r, g, b));
        else if (left > 0)
          store_first(y + at, join(j, r, g, b), left);
      }
    }
    return;
  }
  for (int i = 0; i < width; ++i)
    for (int c = 0; c < C; ++c)
      y[static_cast<std::ptrdiff_t>(i) * C + c] = T(row.channel[c][i] * scale[c] + offset[c]);
}

// A Gaussian of the taps that matter: weight[k] for the pixels k before and after.
struct Blur {
  int radius = 0;
  float weight[kBlurRadius + 1] = {};

  explicit Blur(float sigma) {
    // The taps left out are below 1e-7 of the middle one.
    radius = std::min(kBlurRadius, static_cast<int>(sigma * 5.678f));
    double sum = 0;
    double g[kBlurRadius + 1];
    for (int k = 0; k <= radius; ++k) {
      g[k] = std::exp(-0.5 * k * k / (static_cast<double>(sigma) * static_cast<double>(sigma)));
      sum += k == 0 ? g[k] : 2 * g[k];
    }
    for (int k = 0; k <= radius; ++k)
      weight[k] = static_cast<float>(g[k] / sum);
  }
};

int reflect(int i, int n) {
  return i < 0 ? -i : i >= n ? 2 * n - 2 - i : i;
}

constexpr int kMargin = 16;  // of a row to be blurred
static_assert(kMargin >= kBlurRadius);

// out = row h of the blurred image. `wide` holds lanes_over(width) + 2·kMargin floats.
void blur_row(const Planes& x, int h, const Blur& blur, float* wide, const PlaneRow& out) {
  PlaneRow above[kBlurRadius + 1], below[kBlurRadius + 1];
  for (int k = 0; k <= blur.radius; ++k) {
    above[k] = x.row(reflect(h - k, x.height));
    below[k] = x.row(reflect(h + k, x.height));
  }
  float* middle = wide + kMargin;
  for (int c = 0; c < x.C; ++c) {
    for (int i = 0; i < x.width; i += kLanes) {
      Vec sum = blur.weight[0] * load(above[0].channel[c] + i);
      for (int k = 1; k <= blur.radius; ++k)
        sum += blur.weight[k] * (load(above[k].channel[c] + i) + load(below[k].channel[c] + i));
      store(middle + i, sum);
    }
    for (int k = 1; k <= blur.radius; ++k) {
      middle[-k] = middle[k];
      middle[x.width - 1 + k] = middle[x.width - 1 - k];
    }
    for (int i = 0; i < x.width; i += kLanes) {
      Vec sum = blur.weight[0] * load(middle + i);
      for (int k = 1; k <= blur.radius; ++k)
        sum += blur.weight[k] * (load(middle + i - k) + load(middle + i + k));
      store(out.channel[c] + i, sum);
    }
  }
}

// What one thread works in.
class Worker {
 public:
  static std::int64_t scratch_floats(const AugmentShape& s) {
    return lanes_over(ImageRows::scratch_floats(s)) + Planes::floats(s.C, s.height, s.width) +
           Planes::floats(s.C, 1, s.width) + lanes_over(s.width) + 2 * kMargin;
  }

  Worker(const AugmentShape& s, float* scratch) : s_(s), rows_(s, scratch) {
    scratch += lanes_over(ImageRows::scratch_floats(s));
    planes_ = {scratch, s.C, s.height, s.width};
    scratch += Planes::floats(s.C, s.height, s.width);
    row_ = {scratch, s.C, 1, s.width};
    wide_ = scratch + Planes::floats(s.C, 1, s.width);
  }

  template <class T>
  void run(const std::uint8_t* image, const Augmentation& a, const Normalization& by, T* y) {
    rows_.start(image, a.box, a.mirrored);
    const ColorOp* end = a.order + a.color_ops;
    const ColorOp* contrast = std::find(a.order, end, ColorOp::contrast);
    const bool blurred = a.sigma > 0;
    const std::int64_t y_stride = static_cast<std::int64_t>(s_.width) * s_.C;
    const auto finish = [&](const PlaneRow& row, int h, const ColorOp* from, float gray_mean) {
      for (const ColorOp* op = from; op != end; ++op)
        change(row, a, *op, gray_mean);
      if (a.gray) for_pixels(row, s_.width, [](RgbVec& p) { p.r = p.g = p.b = gray_of(p); });
      if (!blurred) write_row(row, s_.width, s_.C, by, y + h * y_stride);
    };

    if (contrast == end) {
      for (int h = 0; h < s_.height; ++h) {
        const PlaneRow row = blurred ? planes_.row(h) : row_.row(0);
        rows_.read(h, row);
        finish(row, h, a.order, 0);
      }
    } else {
      Vec gray{};
      for (int h = 0; h < s_.height; ++h) {
        const PlaneRow row = planes_.row(h);
        rows_.read(h, row);
        for (const ColorOp* op = a.order; op != contrast; ++op)
          change(row, a, *op, 0);
        Vec gray_of_row{};
        for_pixels(row, s_.width, [&](RgbVec& p) { gray_of_row += gray_of(p); });
        gray += gray_of_row;
      }
      float mean = 0;
      for (int i = 0; i < kLanes; ++i)
        mean += gray[i];
      mean /= static_cast<float>(s_.height) * static_cast<float>(s_.width);
      for (int h = 0; h < s_.height; ++h)
        finish(planes_.row(h), h, contrast, mean);
    }
    if (!blurred) return;
    const Blur blur(a.sigma);
    for (int h = 0; h < s_.height; ++h) {
      blur_row(planes_, h, blur, wide_, row_.row(0));
      write_row(row_.row(0), s_.width, s_.C, by, y + h * y_stride);
    }
  }

 private:
  void change(const PlaneRow& row, const Augmentation& a, ColorOp op, float gray_mean) const {
    change_row(row, s_.width, op, a.factor[static_cast<int>(op)], gray_mean);
  }

  const AugmentShape& s_;
  ImageRows rows_;
  Planes planes_, row_;
  float* wide_;
};

}  // namespace

void augment_images(const Cpu& backend,
                    const AugmentShape& s,
                    const Normalization& by,
                    const std::uint8_t* images,
                    const std::int64_t* samples,
                    const StepState* state,
                    View y) {
  const std::int64_t floats = lanes_over(Worker::scratch_floats(s));
  auto* scratch =
      static_cast<float*>(backend.workspace(sizeof(float) * static_cast<std::size_t>(floats * team_size())));
  const std::int64_t in_size = std::int64_t(s.H) * s.W * s.C,
                     out_size = std::int64_t(s.height) * s.width * s.C;
  with_float_type(y.dtype, [&](auto type) {
    using T = decltype(type);
    parallel_for(s.N, [&](std::int64_t n) {
      const Augmentation drawn =
          draw_augmentation(s.rule, s.H, s.W, state->seed, static_cast<std::uint32_t>(state->epoch),
                            static_cast<std::uint64_t>(samples[n]), static_cast<std::uint32_t>(s.view));
      Worker worker(s, scratch + floats * team_slot());
      worker.run(images + (s.in_order ? n : samples[n]) * in_size, drawn, by, y.as<T>() + n * out_size);
    });
  });
}

}  // namespace clx::kernels
