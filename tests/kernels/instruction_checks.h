// What the kernels of instruction_kernels.cuh must compute, checked against double.
#pragma once

#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <random>
#include <vector>

#include "kernels/bf16.h"
#include "tests/kernels/device_array.h"

namespace clx::kernels {

inline std::vector<float> uniform(std::size_t n, unsigned seed) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> distribution(-1.0f, 1.0f);
  std::vector<float> x(n);
  for (auto& v : x)
    v = distribution(generator);
  return x;
}

inline std::vector<bf16> rounded(const std::vector<float>& x) {
  std::vector<bf16> y;
  for (const float v : x)
    y.push_back(bf16(v));
  return y;
}

template <class T>
std::vector<float> values(const std::vector<T>& x) {
  std::vector<float> y;
  for (const T v : x)
    y.push_back(static_cast<float>(v));
  return y;
}

/// C (M,N) against A (M,K) · B, where B is (K,N) or, transposed, (N,K).
inline void expect_product(int M,
                           int N,
                           int K,
                           const std::vector<float>& A,
                           const std::vector<float>& B,
                           bool transposed,
                           const std::vector<float>& C,
                           double tolerance) {
  for (int m = 0; m < M; ++m)
    for (int n = 0; n < N; ++n) {
      double sum = 0;
      for (int k = 0; k < K; ++k)
        sum += double(A[std::size_t(m * K + k)]) * B[std::size_t(transposed ? n * K + k : k * N + n)];
      ASSERT_NEAR(C[std::size_t(m * N + n)], sum, tolerance) << "row " << m << " column " << n;
    }
}

}  // namespace clx::kernels
