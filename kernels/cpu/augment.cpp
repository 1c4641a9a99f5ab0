#include "kernels/augment.h"

#include "kernels/cpu/parallel.h"

namespace clx::kernels {
namespace {

AugmentRule rule_of(const GatherShape& s) {
  AugmentRule rule;
  rule.padding = s.padding;
  rule.flip = s.flip;
  return rule;
}

Augmentation draw(const GatherShape& s,
                  const AugmentRule& rule,
                  const StepState* state,
                  std::int64_t sample) {
  if (rule.padding == 0 && !rule.flip) return {.box = {0, 0, s.H, s.W}};
  return draw_augmentation(rule, s.H, s.W, state->seed, static_cast<std::uint32_t>(state->epoch),
                           static_cast<std::uint64_t>(sample), static_cast<std::uint32_t>(s.view));
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
    const GatherShape& s, const Table<T>& table, const std::uint8_t* image, const Augmentation& drawn, T* y) {
  for (int h = 0; h < s.H; ++h) {
    const int row = h + drawn.box.top;
    for (int w = 0; w < s.W; ++w, y += s.C) {
      const int column = (drawn.mirrored ? s.W - 1 - w : w) + drawn.box.left;
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
  const AugmentRule rule = rule_of(s);
  with_float_type(y.dtype, [&](auto type) {
    using T = decltype(type);
    const Table<T> table(normalization);
    parallel_for(s.N, [&](std::int64_t n) {
      gather_image(s, table, images + (s.in_order ? n : samples[n]) * size, draw(s, rule, state, samples[n]),
                   y.as<T>() + n * size);
    });
  });
}

void gather_labels(
    const Cpu&, int N, const std::int32_t* labels, const std::int64_t* samples, std::int32_t* y) {
  for (int n = 0; n < N; ++n)
    y[n] = labels[samples[n]];
}

}  // namespace clx::kernels
