#include "kernels/batchnorm.h"

#include <cmath>

#include "kernels/cpu/batchnorm_sums.h"

namespace clx::kernels {
namespace {

constexpr int kChannelGrain = 256;  // channels per chunk where partial sums are combined
constexpr int kShiftRows = 8;

// Per chunk: shift (close to the mean), Σ(x − shift), Σ(x − shift)².
struct Partials {
  float* data;
  int padded;
  float* shift(std::int64_t chunk) const { return data + chunk * 3 * padded; }
  float* sum(std::int64_t chunk) const { return shift(chunk) + padded; }
  float* squares(std::int64_t chunk) const { return shift(chunk) + 2 * padded; }
};

template <class T>
void chunk_statistics(const RowChunks& chunks, std::int64_t chunk, const T* x, const Partials& partials) {
  const int C = chunks.C;
  const std::int64_t begin = chunks.begin(chunk), end = chunks.end(chunk);
  // With the mean of some rows of the chunk as shift, Σ(x − shift)² exceeds the true Σ(x − mean)² by a
  // bounded factor, whatever the data, so one pass is as good as two.
  float* shift = partials.shift(chunk);
  const std::int64_t some = std::min<std::int64_t>(kShiftRows, end - begin), step = (end - begin) / some;
  for (int c = 0; c < C; c += kLanes) {
    Vec sum = {};
    for (std::int64_t i = 0; i < some; ++i)
      sum += load_channels(x + (begin + i * step) * C + c, C - c);
    store(shift + c, sum / static_cast<float>(some));
  }
  sum_chunk(
      chunks, chunk,
      [&](std::int64_t row, int c, int width) {
        const Vec d = load_channels(x + row * C + c, width) - load(shift + c);
        return TwoVecs{d, d * d};
      },
      partials.sum(chunk), partials.squares(chunk));
}

struct Moments {
  double mean, variance;  // biased
};

Moments combine(const RowChunks& chunks, const Partials& partials, int c) {
  double total = 0;
  for (std::int64_t i = 0; i < chunks.count; ++i)
    total +=
        static_cast<double>(partials.shift(i)[c]) * static_cast<double>(chunks.end(i) - chunks.begin(i)) +
        static_cast<double>(partials.sum(i)[c]);
  const double mean = total / static_cast<double>(chunks.M);
  double squares = 0;
  for (std::int64_t i = 0; i < chunks.count; ++i) {
    const auto n = static_cast<double>(chunks.end(i) - chunks.begin(i));
    const double sum = static_cast<double>(partials.sum(i)[c]);
    const double apart = static_cast<double>(partials.shift(i)[c]) + sum / n - mean;
    squares += static_cast<double>(partials.squares(i)[c]) - sum * sum / n + n * apart * apart;
  }
  return {mean, std::max(0.0, squares / static_cast<double>(chunks.M))};
}

Partials partial_sums(const Cpu& backend, const RowChunks& chunks, ConstView x) {
  const std::size_t floats = static_cast<std::size_t>(chunks.count) * 3 * chunks.padded;
  const Partials partials{static_cast<float*>(backend.workspace(floats * sizeof(float))), chunks.padded};
  with_float_type(x.dtype, [&](auto type) {
    using T = decltype(type);
    parallel_for(chunks.count,
                 [&](std::int64_t chunk) { chunk_statistics(chunks, chunk, x.as<T>(), partials); });
  });
  return partials;
}

// M: the number of positions that `m` is of.
void put_statistics(int c,
                    const Moments& m,
                    double M,
                    float eps,
                    float momentum,
                    float* mean,
                    float* inv_std,
                    float* running_mean,
                    float* running_var) {
  mean[c] = static_cast<float>(m.mean);
  inv_std[c] = static_cast<float>(1 / std::sqrt(m.variance + static_cast<double>(eps)));
  if (!running_mean) return;
  const double unbiased = M > 1 ? M / (M - 1) : 1.0;
  running_mean[c] = (1 - momentum) * running_mean[c] + momentum * static_cast<float>(m.mean);
  running_var[c] = (1 - momentum) * running_var[c] + momentum * static_cast<float>(m.variance * unbiased);
}

}  // namespace

std::size_t batchnorm_saved_bytes(const Cpu&, BatchNormShape s, bool relu) {
  const auto groups = static_cast<std::size_t>((s.C + kLanes - 1) / kLanes);
  return relu ? static_cast<std::size_t>(s.M) * groups * sizeof(LaneBits) : 0;
}

void batchnorm_statistics(const Cpu& backend,
                          BatchNormShape s,
                          ConstView x,
                          float eps,
                          float momentum,
                          float* mean,
                          float* inv_std,
                          float* running_mean,
                          float* running_var,
                          BatchNormParts) {
  const RowChunks chunks(s);
  const Partials partials = partial_sums(backend, chunks, x);
  parallel_ranges(s.C, kChannelGrain, [&](std::int64_t begin, std::int64_t end) {
    for (int c = static_cast<int>(begin); c < end; ++c)
      put_statistics(c, combine(chunks, partials, c), static_cast<double>(s.M), eps, momentum, mean, inv_std,
                     running_mean, running_var);
  });
}

void batchnorm_moments(const Cpu& backend, BatchNormShape s, ConstView x, float* moments, BatchNormParts) {
  const RowChunks chunks(s);
  const Partials partials = partial_sums(backend, chunks, x);
  for (int c = 0; c < s.C; ++c) {
    const Moments m = combine(chunks, partials, c);
    moments[c] = static_cast<float>(m.mean);
    moments[s.C + c] = static_cast<float>(m.variance * static_cast<double>(s.M));
  }
}

void batchnorm_merge(const Cpu&,
                     BatchNormShape s,
                     int parts,
                     const float* moments,
                     float eps,
                     float momentum,
                     float* mean,
                     float* inv_std,
                     float* running_mean,
                     float* running_var) {
  const double M = static_cast<double>(s.M);
  for (int c = 0; c < s.C; ++c) {
    const auto of_part = [&](int part) { return moments + 2 * static_cast<std::ptrdiff_t>(part) * s.C + c; };
    double total = 0, squares = 0;
    for (int part = 0; part < parts; ++part)
      total += static_cast<double>(of_part(part)[0]);
    const double mu = total / parts;
    for (int part = 0; part < parts; ++part) {
      const double apart = static_cast<double>(of_part(part)[0]) - mu;
      squares += static_cast<double>(of_part(part)[s.C]) + M * apart * apart;
    }
    put_statistics(c, {mu, squares / (M * parts)}, M * parts, eps, momentum, mean, inv_std, running_mean,
                   running_var);
  }
}

void batchnorm_inv_std(const Cpu&, int C, const float* running_var, float eps, float* inv_std) {
  for (int c = 0; c < C; ++c)
    inv_std[c] =
        static_cast<float>(1 / std::sqrt(static_cast<double>(running_var[c]) + static_cast<double>(eps)));
}

void batchnorm_fold(const Cpu&,
                    int K,
                    std::int64_t columns,
                    const float* w,
                    const float* gamma,
                    const float* beta,
                    const float* mean,
                    const float* inv_std,
                    float* folded,
                    float* bias) {
  parallel_for(K, [&](std::int64_t k) {
    const float scale = gamma[k] * inv_std[k];
    bias[k] = beta[k] - mean[k] * scale;
    for (std::int64_t i = k * columns; i < (k + 1) * columns; ++i)
      folded[i] = w[i] * scale;
  });
}

}  // namespace clx::kernels
