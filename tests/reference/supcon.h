// The meaning of supcon.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/reference/array.h"

namespace clx::reference {

/// −(1/|P(i)|) Σ_{p∈P(i)} (S_ip − ln Σ_{j≠i} exp S_ij) of every anchor i, 0 where P(i) is empty, with
/// S = z·zᵀ/temperature and P(i) = {j ≠ i: labels_j = labels_i}.
inline Array supcon_anchors(const Array& z, const std::vector<std::int32_t>& labels, double temperature) {
  const auto N = static_cast<std::size_t>(z.dim(0)), D = static_cast<std::size_t>(z.dim(1));
  Array loss({z.dim(0)});
  std::vector<double> S(N);
  for (std::size_t i = 0; i < N; ++i) {
    double most = -HUGE_VAL, sum = 0, positives = 0, count = 0;
    for (std::size_t j = 0; j < N; ++j) {
      double dot = 0;
      for (std::size_t d = 0; d < D; ++d)
        dot += z.values[i * D + d] * z.values[j * D + d];
      S[j] = dot / temperature;
      if (j != i) most = std::max(most, S[j]);
    }
    for (std::size_t j = 0; j < N; ++j) {
      if (j == i) continue;
      sum += std::exp(S[j] - most);
      if (labels[j] == labels[i]) {
        positives += S[j];
        ++count;
      }
    }
    if (count > 0) loss.values[i] = most + std::log(sum) - positives / count;
  }
  return loss;
}

/// The mean over all anchors.
inline Array supcon(const Array& z, const std::vector<std::int32_t>& labels, double temperature) {
  Array loss{Shape{}};
  const Array anchors = supcon_anchors(z, labels, temperature);
  for (const double anchor : anchors.values)
    loss[0] += anchor / static_cast<double>(z.dim(0));
  return loss;
}

/// Its gradient: dz = (G + Gᵀ)z/temperature, G_ij = (1/N)(exp(S_ij)/Σ_{k≠i} exp S_ik − [j ∈ P(i)]/|P(i)|) for
/// j ≠ i and P(i) not empty.
inline Array supcon_gradient(const Array& z, const std::vector<std::int32_t>& labels, double temperature) {
  const auto N = static_cast<std::size_t>(z.dim(0)), D = static_cast<std::size_t>(z.dim(1));
  Array dz(z.shape);
  std::vector<double> S(N);
  for (std::size_t i = 0; i < N; ++i) {
    double most = -HUGE_VAL, sum = 0, count = 0;
    for (std::size_t j = 0; j < N; ++j) {
      double dot = 0;
      for (std::size_t d = 0; d < D; ++d)
        dot += z.values[i * D + d] * z.values[j * D + d];
      S[j] = dot / temperature;
      if (j == i) continue;
      most = std::max(most, S[j]);
      count += labels[j] == labels[i];
    }
    for (std::size_t j = 0; j < N; ++j)
      if (j != i) sum += std::exp(S[j] - most);
    if (count == 0) continue;
    for (std::size_t j = 0; j < N; ++j) {
      if (j == i) continue;
      const double positive = labels[j] == labels[i] ? 1 / count : 0;
      const double G = (std::exp(S[j] - most) / sum - positive) / static_cast<double>(N) / temperature;
      for (std::size_t d = 0; d < D; ++d) {
        dz.values[i * D + d] += G * z.values[j * D + d];
        dz.values[j * D + d] += G * z.values[i * D + d];
      }
    }
  }
  return dz;
}

}  // namespace clx::reference
