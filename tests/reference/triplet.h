// The meaning of triplet: all triplets, one by one.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/reference/array.h"

namespace clx::reference {

struct TripletLoss {
  double loss = 0;
  std::int64_t active = 0;
  Array gradient;  // of x
};

namespace triplet_detail {

struct Batch {
  const Array& x;
  const std::vector<std::int32_t>& y;
  double margin;
  Array d, c;  // distances, and ∂loss/∂distance

  Batch(const Array& x_, const std::vector<std::int32_t>& y_, double margin_)
      : x(x_), y(y_), margin(margin_), d({x_.dim(0), x_.dim(0)}), c({x_.dim(0), x_.dim(0)}) {
    for (std::int64_t i = 0; i < size(); ++i)
      for (std::int64_t j = 0; j < size(); ++j) {
        double squares = 0;
        for (std::int64_t k = 0; k < x.dim(1); ++k)
          squares += (x(i, k) - x(j, k)) * (x(i, k) - x(j, k));
        d(i, j) = std::sqrt(squares);
      }
  }
  std::int64_t size() const { return x.dim(0); }
  bool same(std::int64_t i, std::int64_t j) const {
    return y[static_cast<std::size_t>(i)] == y[static_cast<std::size_t>(j)];
  }

  TripletLoss result(double loss, std::int64_t active) const {
    TripletLoss r{loss, active, Array(x.shape)};
    for (std::int64_t i = 0; i < size(); ++i)
      for (std::int64_t j = 0; j < size(); ++j)
        if (d(i, j) > 0)
          for (std::int64_t k = 0; k < x.dim(1); ++k)
            r.gradient(i, k) += (c(i, j) + c(j, i)) / d(i, j) * (x(i, k) - x(j, k));
    return r;
  }
};

}  // namespace triplet_detail

/// Mean over anchors with a positive of max(0, farthest positive − nearest negative + margin). Without a
/// negative, the largest distance of the batch stands for the nearest; equals share it.
inline TripletLoss triplet_hard(const Array& x, const std::vector<std::int32_t>& y, double margin) {
  triplet_detail::Batch b(x, y, margin);
  const std::int64_t N = b.size();
  const double largest = *std::max_element(b.d.values.begin(), b.d.values.end());
  const auto ties = static_cast<double>(std::count(b.d.values.begin(), b.d.values.end(), largest));
  double sum = 0, valid = 0;
  for (std::int64_t a = 0; a < N; ++a) {
    std::int64_t p = -1, n = -1;
    for (std::int64_t j = 0; j < N; ++j) {
      if (b.same(a, j) && j != a && (p < 0 || b.d(a, j) > b.d(a, p))) p = j;
      if (!b.same(a, j) && (n < 0 || b.d(a, j) < b.d(a, n))) n = j;
    }
    if (p < 0) continue;
    ++valid;
    const double term = b.d(a, p) - (n < 0 ? largest : b.d(a, n)) + margin;
    if (term <= 0) continue;
    sum += term;
    b.c(a, p) += 1;
    if (n >= 0) b.c(a, n) -= 1;
    for (std::int64_t k = 0; n < 0 && k < b.d.size(); ++k)
      if (b.d[k] == largest) b.c[k] -= 1 / ties;
  }
  for (double& c : b.c.values)
    c /= std::max(1.0, valid);
  return b.result(sum / std::max(1.0, valid), 0);
}

/// Mean of d_ap − d_an + margin over the triplets with d_ap < d_an < d_ap + margin; triplet_hard if there are
/// none.
inline TripletLoss triplet(const Array& x, const std::vector<std::int32_t>& y, double margin) {
  triplet_detail::Batch b(x, y, margin);
  const std::int64_t N = b.size();
  double sum = 0;
  std::int64_t count = 0;
  for (std::int64_t a = 0; a < N; ++a)
    for (std::int64_t p = 0; p < N; ++p)
      for (std::int64_t n = 0; n < N; ++n) {
        if (p == a || !b.same(a, p) || b.same(a, n)) continue;
        const double term = b.d(a, p) - b.d(a, n) + margin;
        if (b.d(a, n) <= b.d(a, p) || term <= 0) continue;
        sum += term;
        ++count;
        b.c(a, p) += 1;
        b.c(a, n) -= 1;
      }
  if (count == 0) return triplet_hard(x, y, margin);
  for (double& c : b.c.values)
    c /= static_cast<double>(count);
  return b.result(sum / static_cast<double>(count), count);
}

}  // namespace clx::reference
