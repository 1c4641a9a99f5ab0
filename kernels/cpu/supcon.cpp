#include "kernels/supcon.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cpu/parallel.h"

namespace clx::kernels {
namespace {
double dot(const SupconShape& s, const float* z, std::int64_t i, std::int64_t j) {
  double sum = 0;
  for (int d = 0; d < s.D; ++d)
    sum += static_cast<double>(z[i * s.D + d]) * static_cast<double>(z[j * s.D + d]);
  return sum;
}
}  // namespace

void supcon_forward(const Cpu&,
                    SupconShape s,
                    const float* z,
                    const std::int32_t* labels,
                    float temperature,
                    float* log_sum,
                    float* pull,
                    float* anchor_loss,
                    float* loss) {
  const double t = static_cast<double>(temperature);
  parallel_ranges(s.N, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      double max = -std::numeric_limits<double>::infinity(), sum = 0, positives = 0;
      int count = 0;
      for (std::int64_t j = 0; j < s.N; ++j) {
        if (j == i) continue;
        const double x = dot(s, z, i, j) / t, larger = std::max(max, x);
        sum = sum * std::exp(max - larger) + std::exp(x - larger);
        max = larger;
        if (labels[j] == labels[i]) {
          positives += x;
          ++count;
        }
      }
      const double log = max + std::log(sum);
      log_sum[i] = count ? static_cast<float>(log / std::log(2.0)) : std::numeric_limits<float>::infinity();
      pull[i] = count ? static_cast<float>(1.0 / count) : 0;
      anchor_loss[i] = count ? static_cast<float>(log - positives / count) : 0;
    }
  });
  double total = 0;
  for (int i = 0; i < s.N; ++i)
    total += static_cast<double>(anchor_loss[i]);
  *loss = static_cast<float>(total / s.N);
}

void supcon_backward(const Cpu&,
                     SupconShape s,
                     const float* z,
                     const std::int32_t* labels,
                     float temperature,
                     const float* log_sum,
                     const float* pull,
                     const float* dloss,
                     float* dz) {
  const double t = static_cast<double>(temperature);
  const float scale = *dloss / (static_cast<float>(s.N) * temperature);
  parallel_ranges(s.N, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      std::fill_n(dz + i * s.D, s.D, 0.0f);
      for (std::int64_t j = 0; j < s.N; ++j) {
        if (j == i) continue;
        const double x = dot(s, z, i, j) / t / std::log(2.0);
        double w =
            std::exp2(x - static_cast<double>(log_sum[i])) + std::exp2(x - static_cast<double>(log_sum[j]));
        if (labels[j] == labels[i]) w -= static_cast<double>(pull[i] + pull[j]);
        for (int d = 0; d < s.D; ++d)
          dz[i * s.D + d] += scale * static_cast<float>(w) * z[j * s.D + d];
      }
    }
  });
}

}  // namespace clx::kernels
