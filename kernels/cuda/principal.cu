// What: the first principal component of each sample's activations, as kernels/principal.h says; f64 but for
//   the centring.
// Who: centring: a thread per channel. Products of the rows of X (or of its transpose, if that has fewer): a
//   block per 16×16 of them, a thread each; those below the diagonal are copied. The eigenvector: a block per
//   sample squares its matrix again and again, a thread takes the elements t, t + 256, …
// Where: two tiles of 16×32 floats in shared memory (4 KiB); two matrices of up to 64×64 doubles in shared
// memory
//   (64 KiB), larger ones in the workspace; centred activations in the workspace, of some samples at a time.
// Limit: f64 arithmetic: positions²·C per sample, then positions³ for each of some ten squares.
#include "kernels/principal.h"

#include <cmath>
#include <cstdint>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/reduce.cuh"

namespace clx::kernels {
namespace {

constexpr int kThreads = 256, kTile = 16, kTerms = 32, kMostSquares = 40, kSharedSide = 64;
constexpr double kConverged = 1e-12;
constexpr std::int64_t kScratchBytes = std::int64_t(1) << 28;

/// The matrices of a sample: `rows` rows of `terms` centred activations, and rows×rows products.
struct Sizes {
  int positions, C;
  bool transposed;  // rows are channels
  int rows, terms;
};

template <class T>
__device__ __forceinline__ float activation(const T* x, std::int64_t i) {
  const float v = static_cast<float>(x[i]);
  return isnan(v) ? 0.f : v;
}

template <class T>
__global__ void __launch_bounds__(kThreads) centre_kernel(const Sizes z, const T* x, float* centred) {
  const int k = blockIdx.x * kThreads + threadIdx.x;
  if (k >= z.C) return;
  x += std::int64_t(blockIdx.y) * z.positions * z.C;
  centred += std::int64_t(blockIdx.y) * z.positions * z.C;
  float mean = 0;
  for (int p = 0; p < z.positions; ++p)
    mean += activation(x, std::int64_t(p) * z.C + k);
  mean = __fdiv_rn(mean, static_cast<float>(z.positions));
  for (int p = 0; p < z.positions; ++p) {
    const std::int64_t at = std::int64_t(p) * z.C + k;
    centred[z.transposed ? std::int64_t(k) * z.positions + p : at] = activation(x, at) - mean;
  }
}

__global__ void __launch_bounds__(kThreads)
    gram_kernel(const Sizes z, int tiles, const float* centred, double* gram) {
  CLX_SHARED(float, a, [kTile][kTerms + 1]);  // (row i, term)
  CLX_SHARED(float, b, [kTile][kTerms + 1]);  // (row j, term)
  const int i0 = blockIdx.x / tiles * kTile, j0 = blockIdx.x % tiles * kTile;
  if (j0 > i0) return;  // the whole block: its mirror image does both
  const int ti = threadIdx.x / kTile, tj = threadIdx.x % kTile;
  centred += std::int64_t(blockIdx.y) * z.rows * z.terms;
  gram += std::int64_t(blockIdx.y) * z.rows * z.rows;
  double sum = 0;
  for (int k0 = 0; k0 < z.terms; k0 += kTerms) {
    for (int t = threadIdx.x; t < kTile * kTerms; t += kThreads) {
      const int r = t / kTerms, k = k0 + t % kTerms;
      a[r][t % kTerms] = i0 + r < z.rows && k < z.terms ? centred[std::int64_t(i0 + r) * z.terms + k] : 0.f;
      b[r][t % kTerms] = j0 + r < z.rows && k < z.terms ? centred[std::int64_t(j0 + r) * z.terms + k] : 0.f;
    }
    __syncthreads();  // both tiles are written
    for (int k = 0; k < kTerms; ++k)
      sum += static_cast<double>(a[ti][k]) * static_cast<double>(b[tj][k]);
    __syncthreads();  // both tiles are used up: the next ones may be written
  }
  const int i = i0 + ti, j = j0 + tj;
  if (i >= z.rows || j > i) return;
  gram[std::int64_t(i) * z.rows + j] = sum;
  gram[std::int64_t(j) * z.rows + i] = sum;
}

/// Σ_i m[i][i], in every thread.
__device__ double trace(int rows, const double* m) {
  double sum = 0;
  for (int i = threadIdx.x; i < rows; i += kThreads)
    sum += m[std::int64_t(i) * rows + i];
  return block_sum<kThreads>(sum);
}

/// Squares `power`, whose trace is 1, until it is a multiple of u·uᵀ; returns it or `square`, wherever it
/// ends.
__device__ const double* find_projector(int rows, double* power, double* square) {
  const std::int64_t size = std::int64_t(rows) * rows;
  for (int round = 0; round < kMostSquares; ++round) {
    for (std::int64_t e = threadIdx.x; e < size; e += kThreads) {
      const int i = static_cast<int>(e / rows), j = static_cast<int>(e % rows);
      double sum = 0;
      for (int k = 0; k < rows; ++k)
        sum += power[std::int64_t(i) * rows + k] * power[std::int64_t(k) * rows + j];
      square[e] = sum;
    }
    __syncthreads();  // the square is written
    const double t = trace(rows, square), factor = 1 / t;
    for (std::int64_t e = threadIdx.x; e < size; e += kThreads)
      square[e] *= factor;
    __syncthreads();  // it is scaled, and `power` is used up
    double* const other = power;
    power = square;
    square = other;
    if (1 - t < kConverged) break;
  }
  return power;
}

/// Whether the component has the wrong sign.
template <class T>
__device__ bool wants_flip(const Sizes& z, ComponentSign sign, const T* x, const double* projection) {
  if (sign == ComponentSign::first_negative) return projection[0] > 0;
  if (sign == ComponentSign::largest_positive) {
    double low = projection[0], high = projection[0];
    for (int p = 1; p < z.positions; ++p) {
      low = projection[p] < low ? projection[p] : low;
      high = projection[p] > high ? projection[p] : high;
    }
    return -low > high;
  }
  double correlation = 0;  // the projection sums to 0, so the mean map need not be centred
  const std::int64_t size = std::int64_t(z.positions) * z.C;
  for (std::int64_t i = threadIdx.x; i < size; i += kThreads)
    correlation += projection[i / z.C] * static_cast<double>(activation(x, i));
  return block_sum<kThreads>(correlation) < 0;
}

template <class T>
__global__ void __launch_bounds__(kThreads) component_kernel(const Sizes z,
                                                             ComponentSign sign,
                                                             bool shared,
                                                             const T* x,
                                                             const float* centred,
                                                             const double* gram,
                                                             double* matrices,
                                                             double* vectors,
                                                             float* y) {
  CLX_DYNAMIC_SHARED(memory);
  const std::int64_t n = blockIdx.x, size = std::int64_t(z.rows) * z.rows;
  x += n * z.positions * z.C;
  centred += n * z.positions * z.C;
  gram += n * size;
  y += n * z.positions;
  double* power = shared ? reinterpret_cast<double*>(memory) : matrices + 2 * n * size;
  double *vector = vectors + n * (z.rows + z.positions), *projection = vector + z.rows;
  const double total = trace(z.rows, gram);
  if (!(total > 0) || isinf(total)) {
    for (int p = threadIdx.x; p < z.positions; p += kThreads)
      y[p] = static_cast<float>(total * 0);  // NaN where it is not finite
    return;                                  // the whole block
  }
  for (std::int64_t e = threadIdx.x; e < size; e += kThreads)
    power[e] = gram[e] / total;
  __syncthreads();  // the first power is written
  const double* projector = find_projector(z.rows, power, power + size);

  int best = 0;
  for (int i = 1; i < z.rows; ++i)
    if (projector[std::int64_t(i) * (z.rows + 1)] > projector[std::int64_t(best) * (z.rows + 1)]) best = i;
  const double* row = projector + std::int64_t(best) * z.rows;
  double squares = 0;
  for (int i = threadIdx.x; i < z.rows; i += kThreads)
    squares += row[i] * row[i];
  const double length = sqrt(block_sum<kThreads>(squares));
  for (int i = threadIdx.x; i < z.rows; i += kThreads)
    vector[i] = row[i] / length;
  __syncthreads();  // the vector is written

  double part = 0;
  for (std::int64_t e = threadIdx.x; e < size; e += kThreads)
    part += vector[e / z.rows] * gram[e] * vector[e % z.rows];
  const double eigenvalue = block_sum<kThreads>(part), sigma = sqrt(eigenvalue > 0 ? eigenvalue : 0);
  for (int p = threadIdx.x; p < z.positions; p += kThreads) {
    double value = z.transposed ? 0 : sigma * vector[p];
    for (int k = 0; z.transposed && k < z.rows; ++k)
      value += static_cast<double>(centred[std::int64_t(k) * z.terms + p]) * vector[k];
    projection[p] = value;
  }
  __syncthreads();  // the projection is written
  const double factor = wants_flip(z, sign, x, projection) ? -1 : 1;
  for (int p = threadIdx.x; p < z.positions; p += kThreads)
    y[p] = static_cast<float>(factor * projection[p]);
}

unsigned ceil_div(int a, int b) {
  return static_cast<unsigned>((a + b - 1) / b);
}

}  // namespace

void principal_component(const Gpu& gpu, const PrincipalShape& s, ConstView x, float* y) {
  const bool transposed = s.positions > s.C;
  const Sizes z{s.positions, s.C, transposed, transposed ? s.C : s.positions, transposed ? s.positions : s.C};
  const std::int64_t activations = std::int64_t(s.positions) * s.C, matrix = std::int64_t(z.rows) * z.rows;
  const bool shared = z.rows <= kSharedSide;
  const std::int64_t bytes = 4 * activations + 8 * matrix * (shared ? 1 : 3) + 8 * (z.rows + z.positions);
  int together = static_cast<int>(kScratchBytes / bytes);
  together = together < 1 ? 1 : together > 65535 ? 65535 : together;
  together = together > s.N ? s.N : together;
  auto* centred = static_cast<float*>(gpu.workspace(sizeof(float) * together * activations));
  auto* gram = static_cast<double*>(gpu.workspace(sizeof(double) * together * matrix));
  auto* vectors = static_cast<double*>(gpu.workspace(sizeof(double) * together * (z.rows + z.positions)));
  auto* matrices =
      shared ? nullptr : static_cast<double*>(gpu.workspace(2 * sizeof(double) * together * matrix));
  const std::size_t smem = shared ? 2 * sizeof(double) * static_cast<std::size_t>(matrix) : 0;
  const unsigned tiles = ceil_div(z.rows, kTile);
  with_float_type(x.dtype, [&](auto type) {
    using T = decltype(type);
    for (int n = 0; n < s.N; n += together) {
      const unsigned count = s.N - n < together ? s.N - n : together;
      const T* from = x.as<T>() + n * activations;
      launch(centre_kernel<T>, dim3(ceil_div(s.C, kThreads), count), kThreads, 0, gpu, z, from, centred);
      launch(gram_kernel, dim3(tiles * tiles, count), kThreads, 0, gpu, z, static_cast<int>(tiles), centred,
             gram);
      launch(component_kernel<T>, dim3(count), kThreads, smem, gpu, z, s.sign, shared, from, centred, gram,
             matrices, vectors, y + std::int64_t(n) * s.positions);
    }
  });
}

}  // namespace clx::kernels
