#include "kernels/batchnorm.h"
#include "kernels/cpu/batchnorm_sums.h"

namespace clx::kernels {
namespace {

// Per-channel numbers, each array padded to whole vectors.
struct Channels {
  float *mean, *scale, *beta;
};

template <class T, bool kResidual, bool kRelu>
void apply_row(const Channels& by, int C, const T* x, const T* residual, T* y, LaneBits* saved) {
  const auto group = [&](int c, int width) {
    Vec v = (load_channels(x + c, width) - load(by.mean + c)) * load(by.scale + c) + load(by.beta + c);
    if constexpr (kResidual) v += load_channels(residual + c, width);
    if constexpr (kRelu) {
      *saved++ = positive_lanes(v);
      v = relu(v);
    }
    return v;
  };
  int c = 0;
  for (; c + kLanes <= C; c += kLanes)
    store(y + c, group(c, kLanes));
  if (c < C) store_first(y + c, group(c, C - c), C - c);
}

// Per-channel numbers of the backward: g·x̂ sums need `mean`; dx = scale·(g − shift − (x − mean)·slope).
struct BackwardChannels {
  float *mean, *scale, *shift, *slope;
};

template <class T, bool kRelu>
Vec gradient_at(const T* dy, const LaneBits* saved, int groups, std::int64_t row, int c, int C, int width) {
  const Vec g = load_channels(dy + row * C + c, width);
  if constexpr (kRelu) return keep_lanes(saved[row * groups + c / kLanes], g);
  return g;
}

template <class T, bool kRelu, bool kTraining, bool kResidual>
void backward_row(const BackwardChannels& by,
                  int C,
                  int groups,
                  std::int64_t row,
                  const T* x,
                  const T* dy,
                  const LaneBits* saved,
                  T* dx,
                  T* dresidual) {
  const auto group = [&](int c, int width, auto&& put) {
    const Vec g = gradient_at<T, kRelu>(dy, saved, groups, row, c, C, width);
    if constexpr (kResidual) put(dresidual + row * C + c, g);
    Vec d = g;
    if constexpr (kTraining)
      d = g - load(by.shift + c) -
          (load_channels(x + row * C + c, width) - load(by.mean + c)) * load(by.slope + c);
    put(dx + row * C + c, d * load(by.scale + c));
  };
  int c = 0;
  for (; c + kLanes <= C; c += kLanes)
    group(c, kLanes, [](T* p, Vec v) { store(p, v); });
  if (c < C) group(c, C - c, [&](T* p, Vec v) { store_first(p, v, C - c); });
}

template <class F>
void with_bool(bool value, F&& f) {
  if (value)
    f(std::true_type{});
  else
    f(std::false_type{});
}

float* padded_array(const Cpu& backend, const RowChunks& chunks) {
  auto* p = static_cast<float*>(backend.workspace(sizeof(float) * chunks.padded));
  std::fill(p + chunks.C, p + chunks.padded, 0.0f);
  return p;
}

}  // namespace

void batchnorm_apply(const Cpu& backend,
                     BatchNormShape s,
                     ConstView x,
                     ConstView residual,
                     const float* gamma,
                     const float* beta,
                     const float* mean,
                     const float* inv_std,
                     bool relu,
                     View y,
                     void* saved) {
  const RowChunks chunks(s);
  const Channels by{padded_array(backend, chunks), padded_array(backend, chunks),
                    padded_array(backend, chunks)};
  for (int c = 0; c < s.C; ++c) {
    by.mean[c] = mean[c];
    by.scale[c] = gamma[c] * inv_std[c];
    by.beta[c] = beta[c];
  }
  const std::int64_t C = s.C, groups = chunks.padded / kLanes;
  with_float_type(y.dtype, [&](auto type) {
    using T = decltype(type);
    with_bool(bool(residual), [&](auto add) {
      with_bool(relu, [&](auto clip) {
        parallel_for(chunks.count, [&](std::int64_t chunk) {
          for (std::int64_t r = chunks.begin(chunk); r < chunks.end(chunk); ++r)
            apply_row<T, add, clip>(by, s.C, x.as<T>() + r * C, add ? residual.as<T>() + r * C : nullptr,
                                    y.as<T>() + r * C,
                                    clip ? static_cast<LaneBits*>(saved) + r * groups : nullptr);
        });
      });
    });
  });
}

void batchnorm_gradient_sums(const Cpu& backend,
                             BatchNormShape s,
                             ConstView x,
                             ConstView dy,
                             const float* mean,
                             const float* inv_std,
                             bool relu,
                             const void* saved,
                             float* dgamma,
                             float* dbeta) {
  const RowChunks chunks(s);
  const int C = s.C, groups = chunks.padded / kLanes;
  float* const padded_mean = padded_array(backend, chunks);
  std::copy_n(mean, C, padded_mean);
  const auto* mask = static_cast<const LaneBits*>(saved);
  const std::size_t floats = static_cast<std::size_t>(chunks.count) * 2 * chunks.padded;
  auto* partials = static_cast<float*>(backend.workspace(floats * sizeof(float)));
  const auto sums = [&](std::int64_t chunk) { return partials + chunk * 2 * chunks.padded; };
  with_float_type(x.dtype, [&](auto type) {
    using T = decltype(type);
    with_bool(relu, [&](auto clip) {
      parallel_for(chunks.count, [&](std::int64_t chunk) {
        sum_chunk(
            chunks, chunk,
            [&](std::int64_t row, int c, int width) {
              const Vec g = gradient_at<T, clip>(dy.as<T>(), mask, groups, row, c, C, width);
              const Vec d = load_channels(x.as<T>() + row * C + c, width) - load(padded_mean + c);
              return TwoVecs{g, g * d};
            },
            sums(chunk), sums(chunk) + chunks.padded);
      });
    });
  });
  for (int c = 0; c < C; ++c) {
    double g = 0, gx = 0;
    for (std::int64_t i = 0; i < chunks.count; ++i) {
      g += static_cast<double>(sums(i)[c]);
      gx += static_cast<double>(sums(i)[chunks.padded + c]);
    }
    dbeta[c] = static_cast<float>(g);
    dgamma[c] = static_cast<float>(gx * static_cast<double>(inv_std[c]));
  }
}

void batchnorm_dx(const Cpu& backend,
                  BatchNormShape s,
                  std::int64_t positions,
                  ConstView x,
                  ConstView dy,
                  const float* gamma,
                  const float* mean,
                  const float* inv_std,
                  const float* dgamma,
                  const float* dbeta,
                  bool training,
                  bool relu,
                  const void* saved,
                  View dx,
                  View dresidual) {
  const RowChunks chunks(s);
  const int C = s.C, groups = chunks.padded / kLanes;
  const BackwardChannels by{padded_array(backend, chunks), padded_array(backend, chunks),
                            padded_array(backend, chunks), padded_array(backend, chunks)};
  const auto* mask = static_cast<const LaneBits*>(saved);
  const double M = static_cast<double>(positions);
  for (int c = 0; c < C; ++c) {
    by.mean[c] = mean[c];
    by.scale[c] = gamma[c] * inv_std[c];
    by.shift[c] = static_cast<float>(static_cast<double>(dbeta[c]) / M);
    by.slope[c] = static_cast<float>(static_cast<double>(dgamma[c]) * static_cast<double>(inv_std[c]) / M);
  }
  with_float_type(dx.dtype, [&](auto type) {
    using T = decltype(type);
    with_bool(relu, [&](auto clip) {
      with_bool(training, [&](auto train) {
        with_bool(bool(dresidual), [&](auto add) {
          parallel_for(chunks.count, [&](std::int64_t chunk) {
            for (std::int64_t r = chunks.begin(chunk); r < chunks.end(chunk); ++r)
              backward_row<T, clip, train, add>(by, C, groups, r, x.as<T>(), dy.as<T>(), mask, dx.as<T>(),
                                                dresidual.as<T>());
          });
        });
      });
    });
  });
}

void batchnorm_backward(const Cpu& backend,
                        BatchNormShape s,
                        ConstView x,
                        ConstView dy,
                        const float* gamma,
                        const float* mean,
                        const float* inv_std,
                        bool training,
                        bool relu,
                        const void* saved,
                        View dx,
                        View dresidual,
                        float* dgamma,
                        float* dbeta) {
  batchnorm_gradient_sums(backend, s, x, dy, mean, inv_std, relu, saved, dgamma, dbeta);
  batchnorm_dx(backend, s, s.M, x, dy, gamma, mean, inv_std, dgamma, dbeta, training, relu, saved, dx,
               dresidual);
}

}  // namespace clx::kernels
