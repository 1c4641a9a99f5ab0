// A convolution and its two gradients as matrix products whose factors are never stored (implicit GEMM).
// Included by kernels/cuda/*.cu only.
//
//   forward           y[(n,p,q), k]  = Σ_(r,s,c) patches(x)[(n,p,q), (r,s,c)] · w[k, (r,s,c)]
//   backward_data     dx[(n,h,w), c] = Σ_(r,s,k) patches(dy)[(n,h,w), (r,s,k)] · w[k,r,s,c]
//   backward_weight   dw[k, (r,s,c)] = Σ_(n,p,q) dy[(n,p,q), k] · patches(x)[(n,p,q), (r,s,c)]
//
// With a stride of t, dx falls apart into t·t phases (h mod t, w mod t), each a product of its own with every
// t-th row and column of the filters: no multiplication by a zero between the pixels of dy.
// Positions of one image times channels, and N·P·Q and N·H·W, are below 2³¹; offsets into tensors may not be.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/conv2d.h"
#include "kernels/cuda/divisor.cuh"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/sum_runs.cuh"
#include "kernels/cuda/tile_operand.cuh"

namespace clx::kernels {
namespace {

constexpr int kOutside = -(1 << 29);  // a coordinate outside every image, also after two of it are added

/// Images (N,H,W,C) as patches: for each position (n,i,j) of an N×I×J grid the taps (r,s,c) of an R×S window,
/// image[n, i·stride + start_h + r·direction, j·stride + start_w + s·direction, c], 0 outside the image.
template <class T>
struct Patches {
  struct Position {
    const T* image;
    int h, w;
  };
  struct Tap {
    int h, w, c;
  };

  const T* images = nullptr;
  int H = 0, W = 0, C = 0;
  int stride = 1, direction = 1, start_h = 0, start_w = 0;
  int positions = 0, taps = 0;  // N·I·J, R·S·C
  Divisor I, J, S, channels;

  __device__ __forceinline__ Position position(int index) const {
    if (index >= positions) return {images, kOutside, kOutside};
    const int line = J.quotient(index), n = I.quotient(line);
    const int i = line - n * I.d, j = index - line * J.d;
    return {images + std::int64_t(n) * (H * W * C), i * stride + start_h, j * stride + start_w};
  }
  __device__ __forceinline__ Tap tap(int index) const {
    if (index >= taps) return {kOutside, kOutside, 0};
    const int rs = channels.quotient(index), r = S.quotient(rs);
    return {r * direction, (rs - r * S.d) * direction, index - rs * channels.d};
  }
  __device__ __forceinline__ const T* at(Position position, Tap tap) const {
    const int h = position.h + tap.h, w = position.w + tap.w;
    const bool inside = h >= 0 && h < H && w >= 0 && w < W;
    return inside ? position.image + (h * W + w) * C + tap.c : nullptr;
  }
  __device__ __forceinline__ const T* base() const { return images; }
};

/// Patches as the factor A of a product over the taps.
template <class T>
struct PatchRows : Patches<T> {
  using Element = T;
  using Outer = typename Patches<T>::Position;
  using Inner = typename Patches<T>::Tap;
  static constexpr bool kInnerContiguous = true;
  __device__ __forceinline__ Outer outer(int index) const { return this->position(index); }
  __device__ __forceinline__ Inner inner(int index) const { return this->tap(index); }
};

/// Patches as the factor B of a product over the positions.
template <class T>
struct PatchColumns : Patches<T> {
  using Element = T;
  using Outer = typename Patches<T>::Tap;
  using Inner = typename Patches<T>::Position;
  static constexpr bool kInnerContiguous = false;
  __device__ __forceinline__ Outer outer(int index) const { return this->tap(index); }
  __device__ __forceinline__ Inner inner(int index) const { return this->position(index); }
  __device__ __forceinline__ const T* at(Outer tap, Inner position) const {
    return Patches<T>::at(position, tap);
  }
};

/// The filters that one phase of the data gradient sees: (c, (r,s,k)) ↦ w[k, r0 + r·step, s0 + s·step, c].
template <class T>
struct PhaseFilters {
  using Element = T;
  struct Channel {
    int index;  // −1 past the end
  };
  struct Filter {
    const T* channels;  // null past the end
  };
  using Outer = Channel;
  using Inner = Filter;
  static constexpr bool kInnerContiguous = false;

  const T* filters = nullptr;
  int R = 0, S = 0, C = 0;
  int step = 1, r0 = 0, s0 = 0;
  int taps = 0;  // of the phase: rows × columns × K
  Divisor columns, K;

  __device__ __forceinline__ Outer outer(int c) const { return {c < C ? c : -1}; }
  __device__ __forceinline__ Inner inner(int index) const {
    if (index >= taps) return {nullptr};
    const int rs = K.quotient(index), r = columns.quotient(rs);
    const int k = index - rs * K.d, s = rs - r * columns.d;
    return {filters + ((std::int64_t(k) * R + r0 + r * step) * S + s0 + s * step) * C};
  }
  __device__ __forceinline__ const T* at(Outer c, Inner filter) const {
    return c.index >= 0 && filter.channels != nullptr ? filter.channels + c.index : nullptr;
  }
  __device__ __forceinline__ const T* base() const { return filters; }
};

/// Stores y with its epilogue.
template <class T>
struct StoreOutput {
  T* y = nullptr;
  int positions = 0, K = 0;
  const float* bias = nullptr;
  const T* residual = nullptr;
  bool relu = false;
  bool paired = false;  // K is even and the memory aligned: two results at a time

  __device__ __forceinline__ void pair(int m, int k, float v0, float v1) const {
    if (m >= positions || k >= K) return;
    const std::int64_t offset = std::int64_t(m) * K + k;
    const bool two = k + 1 < K;
    if (bias != nullptr) {
      v0 += bias[k];
      if (two) v1 += bias[k + 1];
    }
    if (residual != nullptr) {
      v0 += static_cast<float>(residual[offset]);
      if (two) v1 += static_cast<float>(residual[offset + 1]);
    }
    if (relu) {  // a NaN stays one
      v0 = v0 < 0.f ? 0.f : v0;
      v1 = v1 < 0.f ? 0.f : v1;
    }
    if (paired) {
      *reinterpret_cast<Pair<T>*>(y + offset) = {T(v0), T(v1)};
    } else {
      y[offset] = T(v0);
      if (two) y[offset + 1] = T(v1);
    }
  }
};

/// Stores one phase of dx, others added: row (n,i,j) is pixel (n, i·step + h0, j·step + w0).
template <class T>
struct StorePhase {
  T* dx = nullptr;
  const T* others = nullptr;
  int H = 0, W = 0, C = 0;
  int step = 1, h0 = 0, w0 = 0;
  int positions = 0;
  Divisor I, J;
  bool paired = false;

  __device__ __forceinline__ void pair(int m, int c, float v0, float v1) const {
    if (m >= positions || c >= C) return;
    const int line = J.quotient(m), n = I.quotient(line);
    const int h = (line - n * I.d) * step + h0, w = (m - line * J.d) * step + w0;
    const std::int64_t offset = ((std::int64_t(n) * H + h) * W + w) * C + c;
    const bool two = c + 1 < C;
    if (others != nullptr) {
      v0 += static_cast<float>(others[offset]);
      if (two) v1 += static_cast<float>(others[offset + 1]);
    }
    if (paired) {
      *reinterpret_cast<Pair<T>*>(dx + offset) = {T(v0), T(v1)};
    } else {
      dx[offset] = T(v0);
      if (two) dx[offset + 1] = T(v1);
    }
  }
};

/// The factors and the destination of y.
template <class T>
struct ForwardProduct {
  PatchRows<T> a;
  MatrixOperand<T, true> b;
  StoreOutput<T> store;
  int M() const { return a.positions; }
  int N() const { return b.rows; }
};

template <class T>
ForwardProduct<T> forward_product(
    const Conv2dShape& s, ConstView x, ConstView w, const Conv2dEpilogue& epilogue, View y) {
  ForwardProduct<T> product;
  PatchRows<T>& a = product.a;
  a.images = x.as<T>();
  a.H = s.H, a.W = s.W, a.C = s.C;
  a.stride = s.stride, a.start_h = a.start_w = -s.padding;
  a.positions = s.N * s.P() * s.Q(), a.taps = s.R * s.S * s.C;
  a.I = Divisor(s.P()), a.J = Divisor(s.Q()), a.S = Divisor(s.S), a.channels = Divisor(s.C);
  product.b = {w.as<T>(), s.K, a.taps};
  const auto* residual = epilogue.residual.as<T>();
  const bool paired = s.K % 2 == 0 && is_aligned(y.data, sizeof(Pair<T>));
  product.store = {y.as<T>(), a.positions, s.K, epilogue.bias, residual, epilogue.relu, paired};
  return product;
}

/// The factors and the destination of one phase of dx.
template <class T>
struct PhaseProduct {
  PatchRows<T> a;
  PhaseFilters<T> b;
  StorePhase<T> store;
  int M() const { return a.positions; }
  int N() const { return b.C; }
};

/// Phase h ≡ phase_h, w ≡ phase_w (mod stride). dy[p] meets dx[h] through row r of the filters where
/// h = p·stride + r − padding. So r ≡ h + padding: the rows r0, r0 + stride, …, and with h = i·stride +
/// phase_h the j-th of them joins p = i + (phase_h + padding − r0)/stride − j.
template <class T>
PhaseProduct<T> phase_product(
    const Conv2dShape& s, int phase_h, int phase_w, ConstView dy, ConstView w, View dx, ConstView others) {
  const int r0 = (phase_h + s.padding) % s.stride, s0 = (phase_w + s.padding) % s.stride;
  const auto count = [&](int extent, int first) {
    return extent > first ? (extent - first + s.stride - 1) / s.stride : 0;
  };
  const int rows = count(s.R, r0), columns = count(s.S, s0);
  const int I = count(s.H, phase_h), J = count(s.W, phase_w);

  PhaseProduct<T> product;
  PatchRows<T>& a = product.a;
  a.images = dy.as<T>();
  a.H = s.P(), a.W = s.Q(), a.C = s.K;
  a.direction = -1;
  a.start_h = (phase_h + s.padding - r0) / s.stride, a.start_w = (phase_w + s.padding - s0) / s.stride;
  a.positions = s.N * I * J, a.taps = rows * columns * s.K;
  a.I = Divisor(std::max(I, 1)), a.J = Divisor(std::max(J, 1));
  a.S = Divisor(std::max(columns, 1)), a.channels = Divisor(s.K);

  PhaseFilters<T>& b = product.b;
  b.filters = w.as<T>();
  b.R = s.R, b.S = s.S, b.C = s.C;
  b.step = s.stride, b.r0 = r0, b.s0 = s0;
  b.taps = a.taps, b.columns = a.S, b.K = a.channels;

  const bool paired = s.C % 2 == 0 && is_aligned(dx.data, sizeof(Pair<T>));
  product.store = {dx.as<T>(), others.as<T>(), s.H,         s.W, s.C, s.stride,
                   phase_h,    phase_w,        a.positions, a.I, a.J, paired};
  return product;
}

/// Up to four phases, computed by one launch; blockIdx.z picks one.
constexpr int kPhasesPerLaunch = 4;
template <class T>
struct Phases {
  PhaseProduct<T> phase[kPhasesPerLaunch];
  int count = 0;
  int M = 0;  // of the largest phase
};

/// Calls launch_phases(phases) until all stride·stride phases are done.
template <class T, class Launch>
void for_each_phases(
    const Conv2dShape& s, ConstView dy, ConstView w, View dx, ConstView others, const Launch& launch_phases) {
  const int count = s.stride * s.stride;
  for (int first = 0; first < count; first += kPhasesPerLaunch) {
    Phases<T> phases;
    for (int i = first; i < std::min(count, first + kPhasesPerLaunch); ++i) {
      const auto phase = phase_product<T>(s, i / s.stride, i % s.stride, dy, w, dx, others);
      if (phase.M() == 0) continue;
      phases.M = std::max(phases.M, phase.M());
      phases.phase[phases.count++] = phase;
    }
    if (phases.count > 0) launch_phases(phases);
  }
}

/// The factors of dw. The positions are cut into `splits` runs of `split` (a multiple of the tile's k);
/// blockIdx.z sums one run into partials[blockIdx.z], a (K, R·S·C) matrix.
template <class T>
struct WeightProduct {
  MatrixOperand<T, false> a;
  PatchColumns<T> b;
  float* partials = nullptr;
  int positions = 0, split = 0;
  int M() const { return a.columns; }
  int N() const { return b.taps; }

  /// Cuts the positions into runs for `tiles` tiles, by steps of `step` positions; returns their number.
  int cut(std::int64_t tiles, int step) {
    const Cut cut = cut_into_runs(std::int64_t(M()) * N(), tiles, ceil_div(positions, step));
    split = cut.length * step;
    return cut.runs;
  }

  __device__ __forceinline__ StoreMatrix store(int run) const {
    return {partials + std::int64_t(run) * a.columns * b.taps, a.columns, b.taps, nullptr};
  }
};

template <class T>
WeightProduct<T> weight_product(const Conv2dShape& s, ConstView x, ConstView dy) {
  WeightProduct<T> product;
  PatchColumns<T>& b = product.b;
  b.images = x.as<T>();
  b.H = s.H, b.W = s.W, b.C = s.C;
  b.stride = s.stride, b.start_h = b.start_w = -s.padding;
  b.positions = s.N * s.P() * s.Q(), b.taps = s.R * s.S * s.C;
  b.I = Divisor(s.P()), b.J = Divisor(s.Q()), b.S = Divisor(s.S), b.channels = Divisor(s.C);
  product.a = {dy.as<T>(), b.positions, s.K};
  product.positions = b.positions;
  return product;
}

}  // namespace
}  // namespace clx::kernels
