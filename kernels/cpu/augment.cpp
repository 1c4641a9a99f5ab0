#include "kernels/augment.h"

#include "kernels/cpu/parallel.h"
#include "kernels/philox.h"

namespace clx::kernels {
namespace {

struct Placement {
  int top, left;  // of the crop in the padded image
  bool mirrored;
};

Placement place(const GatherShape& s, const StepState* state, std::int64_t sample) {
  Placement at{s.padding, s.padding, false};
  if (s.padding == 0 && !s.flip) return at;
  const Philox4 words = philox(state->seed, Purpose::crop_flip, static_cast<std::uint32_t>(state->epoch),
                               static_cast<std::uint64_t>(sample));
  if (s.padding > 0) {
    const auto places = static_cast<std::uint32_t>(2 * s.padding + 1);
    at.top = static_cast<int>(uniform_below(words.v[0], places));
    at.left = static_cast<int>(uniform_below(words.v[1], places));
  }
  at.mirrored = s.flip && uniform01(words.v[2]) < 0.5f;
  return at;
}

// The 256 values of each channel, so that a pixel is one look-up.
template <class T>
struct Table {
  T value[256][4];
  explicit Table(const Normalization& by) {
    for (int i = 0; i < 256; ++i)
      for (int c = 0; c < 4; ++c)
        value[i][c] = T((static_cast<float>(i) / 255.0f - by.mean[c]) / by.std[c]);
  }
};

template <class T>
void gather_image(
    const GatherShape& s, const Table<T>& table, const std::uint8_t* image, const Placement& at, T* y) {
  for (int h = 0; h < s.H; ++h) {
    const int row = h + at.top - s.padding;
    for (int w = 0; w < s.W; ++w, y += s.C) {
      const int column = (at.mirrored ? s.W - 1 - w : w) + at.left - s.padding;
      const bool inside = row >= 0 && row < s.H && column >= 0 && column < s.W;
      const std::uint8_t* pixel = image + (static_cast<std::int64_t>(row) * s.W + column) * s.C;
      for (int c = 0; c < s.C; ++c)
        y[c] = table.value[inside ? pixel[c] : 0][c];
    }
  }
}

}  // namespace

void gather_images(const Cpu&,
                   const GatherShape& s,
                   const Normalization& normalization,
                   const std::uint8_t* images,
                   const std::int64_t* samples,
                   const StepState* state,
                   View y) {
  const std::int64_t size = std::int64_t(s.H) * s.W * s.C;
  with_float_type(y.dtype, [&](auto type) {
    using T = decltype(type);
    const Table<T> table(normalization);
    parallel_for(s.N, [&](std::int64_t n) {
      gather_image(s, table, images + samples[n] * size, place(s, state, samples[n]), y.as<T>() + n * size);
    });
  });
}

void gather_labels(
    const Cpu&, int N, const std::int32_t* labels, const std::int64_t* samples, std::int32_t* y) {
  for (int n = 0; n < N; ++n)
    y[n] = labels[samples[n]];
}

}  // namespace clx::kernels
