#include "nn/data/shapes.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "nn/data/outline.h"
#include "runtime/check.h"
#include "runtime/random.h"

namespace clx::data {
namespace {

constexpr int kClasses = 10;
constexpr int kSubsamples = 4;  // per axis of a pixel

using Color = std::array<float, 3>;

Color random_color(Random& random) {
  return {random.uniform(), random.uniform(), random.uniform()};
}

Color mix(const Color& a, const Color& b, float t) {
  return {a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1]), a[2] + t * (b[2] - a[2])};
}

float distance(const Color& a, const Color& b) {
  return std::hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
}

// An image being painted; coordinates run over [0,1)², x to the right, y down.
class Canvas {
 public:
  explicit Canvas(int size) : size_(size), pixels_(static_cast<std::size_t>(size) * size) {}

  // Sets every pixel to color(x, y) at its centre.
  template <class F>
  void fill(const F& color) {
    for (int i = 0; i < size_; ++i)
      for (int j = 0; j < size_; ++j)
        at(i, j) = color(centre(j), centre(i));
  }

  // Blends color(x, y) over every pixel by the share of it that lies within(x, y), all of which is less
  // than `reach` away from (cx, cy). Calls covered(i, j, share) for each pixel touched.
  template <class Within, class F, class Covered>
  void paint(float cx, float cy, float reach, const Within& within, const F& color, const Covered& covered) {
    const auto first = [&](float c) {
      return std::clamp(static_cast<int>((c - reach) * size_) - 1, 0, size_);
    };
    const auto last = [&](float c) {
      return std::clamp(static_cast<int>((c + reach) * size_) + 2, 0, size_);
    };
    for (int i = first(cy); i < last(cy); ++i)
      for (int j = first(cx); j < last(cx); ++j) {
        const float share = share_of_pixel(i, j, within);
        if (share == 0) continue;
        at(i, j) = mix(at(i, j), color(centre(j), centre(i)), share);
        covered(i, j, share);
      }
  }

  Color mean() const {
    Color sum{};
    for (const Color& p : pixels_)
      for (std::size_t c = 0; c < 3; ++c)
        sum[c] += p[c] / static_cast<float>(pixels_.size());
    return sum;
  }

  // Writes the pixels as bytes, with normal noise of the given deviation.
  void store(Random& random, float noise, std::uint8_t* out) const {
    for (const Color& p : pixels_)
      for (const float value : p)
        *out++ = static_cast<std::uint8_t>(std::lround(
            255 * std::clamp(value + noise * (random.uniform() + random.uniform() - 1), 0.0f, 1.0f)));
  }

 private:
  template <class Within>
  float share_of_pixel(int i, int j, const Within& within) const {
    int hits = 0;
    for (int a = 0; a < kSubsamples; ++a)
      for (int b = 0; b < kSubsamples; ++b)
        hits += within((j + (b + 0.5f) / kSubsamples) / size_, (i + (a + 0.5f) / kSubsamples) / size_);
    return static_cast<float>(hits) / (kSubsamples * kSubsamples);
  }
  float centre(int index) const { return (index + 0.5f) / size_; }
  Color& at(int i, int j) { return pixels_[static_cast<std::size_t>(i) * size_ + j]; }

  int size_;
  std::vector<Color> pixels_;
};

// Random values on a lattice, bilinearly interpolated.
class SmoothNoise {
 public:
  SmoothNoise(Random& random, int cells)
      : cells_(cells), values_(static_cast<std::size_t>(cells + 1) * (cells + 1)) {
    for (float& value : values_)
      value = random.uniform();
  }
  float operator()(float x, float y) const {
    const float u = x * cells_, v = y * cells_;
    const int j = std::min(static_cast<int>(u), cells_ - 1), i = std::min(static_cast<int>(v), cells_ - 1);
    return std::lerp(std::lerp(at(i, j), at(i, j + 1), u - j),
                     std::lerp(at(i + 1, j), at(i + 1, j + 1), u - j), v - i);
  }

 private:
  float at(int i, int j) const { return values_[static_cast<std::size_t>(i) * (cells_ + 1) + j]; }
  int cells_;
  std::vector<float> values_;
};

void paint_background(Random& random, Canvas* canvas) {
  const Color a = random_color(random), b = mix(a, random_color(random), 0.6f);
  const float angle = random.uniform(0, 2 * std::numbers::pi_v<float>);
  const float dx = std::cos(angle), dy = std::sin(angle);
  const float frequency = random.uniform(3, 9);
  switch (random.below(4)) {
    case 0: {
      const SmoothNoise noise(random, 3 + static_cast<int>(random.below(8)));
      canvas->fill([&](float x, float y) { return mix(a, b, noise(x, y)); });
      break;
    }
    case 1:
      canvas->fill(
          [&](float x, float y) { return mix(a, b, 0.5f + 0.7f * (dx * (x - 0.5f) + dy * (y - 0.5f))); });
      break;
    case 2:
      canvas->fill([&](float x, float y) {
        return mix(a, b,
                   0.5f + 0.5f * std::sin(2 * std::numbers::pi_v<float> * frequency * (dx * x + dy * y)));
      });
      break;
    default:
      canvas->fill([&](float x, float y) {
        const auto cell = [&](float t) { return static_cast<int>(std::floor(frequency * t)); };
        return (cell(dx * x + dy * y) + cell(dx * y - dy * x)) % 2 == 0 ? a : b;
      });
  }
}

void paint_distractors(Random& random, Canvas* canvas) {
  const auto uncounted = [](int, int, float) {};
  for (std::uint32_t n = 1 + random.below(4); n > 0; --n) {
    const Color color = random_color(random);
    const auto plain = [&](float, float) { return color; };
    const float cx = random.uniform(), cy = random.uniform();
    if (random.below(2) == 0) {
      const float radius = random.uniform(0.02f, 0.06f);
      canvas->paint(
          cx, cy, radius, [&](float x, float y) { return std::hypot(x - cx, y - cy) < radius; }, plain,
          uncounted);
    } else {
      const float angle = random.uniform(0, std::numbers::pi_v<float>), half = random.uniform(0.1f, 0.4f);
      const float dx = std::cos(angle), dy = std::sin(angle), thick = random.uniform(0.008f, 0.02f);
      const auto on_line = [&](float x, float y) {
        return std::fabs(dx * (x - cx) + dy * (y - cy)) < half &&
               std::fabs(dx * (y - cy) - dy * (x - cx)) < thick;
      };
      canvas->paint(cx, cy, half + thick, on_line, plain, uncounted);
    }
  }
}

// Paints the object and its mask, in a colour that stands out from what is there.
void paint_object(Random& random, int label, int size, Canvas* canvas, std::uint8_t* mask) {
  const float scale = random.uniform(0.18f, 0.32f);
  const float cx = random.uniform(scale, 1 - scale), cy = random.uniform(scale, 1 - scale);
  const float angle = random.uniform(-std::numbers::pi_v<float> / 6, std::numbers::pi_v<float> / 6);
  const float c = std::cos(angle) / scale, s = std::sin(angle) / scale;
  const Color around = canvas->mean();
  Color near = random_color(random);
  for (int tries = 0; tries < 100 && distance(near, around) < 0.5f; ++tries)
    near = random_color(random);
  const Color far = mix(near, random_color(random), 0.25f);
  canvas->paint(
      cx, cy, 1.1f * scale,
      [&](float x, float y) {
        return inside_outline(label, c * (x - cx) + s * (y - cy), c * (y - cy) - s * (x - cx));
      },
      [&](float x, float y) { return mix(near, far, 0.5f + 0.5f * (c * (x - cx) + s * (y - cy))); },
      [&](int i, int j, float share) { mask[static_cast<std::size_t>(i) * size + j] = share >= 0.5f; });
}

// Each ten consecutive samples are a random permutation of the classes.
int label_of(std::uint64_t seed, Split split, std::int64_t index) {
  std::array<int, kClasses> labels{};
  for (int i = 0; i < kClasses; ++i)
    labels[i] = i;
  // Groups have sample ids of their own, counted from the top.
  Random random(seed, Purpose::shapes, static_cast<std::uint32_t>(split),
                ~static_cast<std::uint64_t>(index / kClasses));
  for (std::uint32_t i = kClasses; i > 1; --i)
    std::swap(labels[i - 1], labels[random.below(i)]);
  return labels[static_cast<std::size_t>(index % kClasses)];
}

}  // namespace

Dataset make_shapes(const ShapesOptions& options, Split split) {
  CLX_CHECK(options.size >= 16 && options.size <= 4096, "shapes: expected a size within 16…4096, got ",
            options.size);
  CLX_CHECK(options.samples >= 1 && options.samples < (std::int64_t{1} << 31),
            "shapes: expected at least one sample and fewer than 2³¹, got ", options.samples);
  const std::int64_t M = options.samples, n = options.size;
  Dataset set;
  set.name = "shapes";
  set.class_names = outline_names();
  set.mean = {0.5f, 0.5f, 0.5f};
  set.std = {0.25f, 0.25f, 0.25f};
  set.images = Tensor({M, n, n, 3}, kCpu, DType::u8);
  set.masks = Tensor::zeros({M, n, n}, kCpu, DType::u8);
  auto* pixels = set.images.mutable_data<std::uint8_t>();
  auto* masks = set.masks.mutable_data<std::uint8_t>();
  for (std::int64_t i = 0; i < M; ++i) {
    set.labels.push_back(label_of(options.seed, split, i));
    Random random(options.seed, Purpose::shapes, static_cast<std::uint32_t>(split),
                  static_cast<std::uint64_t>(i));
    Canvas canvas(options.size);
    paint_background(random, &canvas);
    paint_distractors(random, &canvas);
    paint_object(random, set.labels.back(), options.size, &canvas, masks + i * n * n);
    canvas.store(random, 0.04f, pixels + i * n * n * 3);
  }
  return set;
}

}  // namespace clx::data
