// A sample is one thread's. Rows of the shorter side of X, their products in blocks of four by four rows and
// eight terms at a time; the squares of the matrix are products of its rows, too, as it is symmetric.
#include "kernels/principal.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "kernels/cpu/doubles.h"
#include "kernels/cpu/parallel.h"

namespace clx::kernels {
namespace {

constexpr int kBlock = 4;     // rows
constexpr int kTerms = 1024;  // of a row that are visited together
constexpr int kMostSquares = 40;
constexpr double kConverged = 1e-12;

int padded(int n) {
  return (n + kDoubles - 1) / kDoubles * kDoubles;
}

// The sizes of a sample's matrices.
struct Sizes {
  int positions, C;
  bool transposed;   // rows are channels
  int rows, terms;   // of X, or of its transpose
  int stride, side;  // of those rows; of a row of the matrix of products

  explicit Sizes(const PrincipalShape& s)
      : positions(s.positions),
        C(s.C),
        transposed(s.positions > s.C),
        rows(std::min(s.positions, s.C)),
        terms(std::max(s.positions, s.C)),
        stride(padded(terms)),
        side(padded(rows)) {}
  std::size_t floats() const {
    return static_cast<std::size_t>(rows + kBlock) * static_cast<std::size_t>(stride);
  }
  std::size_t doubles() const {
    return static_cast<std::size_t>(rows + kBlock) * static_cast<std::size_t>(side);
  }
};

// One thread's memory.
struct Room {
  float* x;     // rows of X, or of its transpose; zeros beyond
  float* mean;  // of each channel
  double *gram, *power, *square;
  double *vector, *projection;
};

// From activations to centred rows, as numpy centres f32: sums over positions in their order.
template <class T>
void centre(const Sizes& z, const T* activation, const Room& room) {
  const auto value = [&](int p, int k) {
    const float v = static_cast<float>(activation[static_cast<std::ptrdiff_t>(p) * z.C + k]);
    return std::isnan(v) ? 0 : v;
  };
  std::fill_n(room.mean, z.C, 0.0f);
  for (int p = 0; p < z.positions; ++p)
    for (int k = 0; k < z.C; ++k)
      room.mean[k] += value(p, k);
  for (int k = 0; k < z.C; ++k)
    room.mean[k] /= static_cast<float>(z.positions);
  std::fill_n(room.x, z.floats(), 0.0f);
  for (int p = 0; p < z.positions; ++p)
    for (int k = 0; k < z.C; ++k) {
      const std::ptrdiff_t row = z.transposed ? k : p, term = z.transposed ? p : k;
      room.x[row * z.stride + term] = value(p, k) - room.mean[k];
    }
}

// g[i][j] += Σ_k a[i][k]·a[j][k] of four by four rows and some terms.
template <class T>
void multiply_block(
    int terms, std::ptrdiff_t stride, const T* a_i, const T* a_j, std::ptrdiff_t side, double* g) {
  constexpr int kColumns = kDoubles == 8 ? kBlock : kBlock / 2;  // whose sums are in registers at once
  for (int first = 0; first < kBlock; first += kColumns) {
    Doubles sum[kBlock][kColumns] = {};
    for (int k = 0; k < terms; k += kDoubles) {
      Doubles b[kColumns];
      for (int j = 0; j < kColumns; ++j)
        b[j] = load_doubles(a_j + (first + j) * stride + k);
      for (int i = 0; i < kBlock; ++i) {
        const Doubles a = load_doubles(a_i + i * stride + k);
        for (int j = 0; j < kColumns; ++j)
          sum[i][j] += a * b[j];
      }
    }
    for (int i = 0; i < kBlock; ++i)
      for (int j = 0; j < kColumns; ++j)
        g[i * side + first + j] += sum_of_lanes(sum[i][j]);
  }
}

// g (rows,side) = a·aᵀ; rows of `a` beyond the last and terms beyond a row's are zeros.
template <class T>
void multiply(const Sizes& z, int terms, std::ptrdiff_t stride, const T* a, double* g) {
  std::fill_n(g, z.doubles(), 0.0);
  for (int k = 0; k < terms; k += kTerms)
    for (int i = 0; i < z.rows; i += kBlock)
      for (int j = 0; j <= i; j += kBlock)
        multiply_block(padded(std::min(kTerms, terms - k)), stride, a + i * stride + k, a + j * stride + k,
                       z.side, g + static_cast<std::ptrdiff_t>(i) * z.side + j);
  for (std::ptrdiff_t i = 0; i < z.rows; ++i)
    for (std::ptrdiff_t j = i + 1; j < z.rows; ++j)
      g[i * z.side + j] = g[j * z.side + i];
}

double trace(const Sizes& z, const double* g) {
  double sum = 0;
  for (std::ptrdiff_t i = 0; i < z.rows; ++i)
    sum += g[i * (z.side + 1)];
  return sum;
}

void scale(const Sizes& z, double factor, double* g) {
  const std::size_t n = static_cast<std::size_t>(z.rows) * static_cast<std::size_t>(z.side);
  for (std::size_t i = 0; i < n; ++i)
    g[i] *= factor;
}

// The first eigenvector of the matrix of products, of unit length, into room.vector; false if it is 0.
bool find_vector(const Sizes& z, Room& room) {
  const double total = trace(z, room.gram);
  if (!(total > 0) || std::isinf(total)) return false;
  std::copy_n(room.gram, z.doubles(), room.power);
  scale(z, 1 / total, room.power);
  for (int k = 0; k < kMostSquares; ++k) {
    multiply(z, z.rows, z.side, room.power, room.square);
    const double t = trace(z, room.square);
    std::swap(room.power, room.square);
    scale(z, 1 / t, room.power);
    if (1 - t < kConverged) break;
  }
  std::ptrdiff_t best = 0;
  for (std::ptrdiff_t i = 1; i < z.rows; ++i)
    if (room.power[i * (z.side + 1)] > room.power[best * (z.side + 1)]) best = i;
  const double* row = room.power + best * z.side;
  double squares = 0;
  for (int i = 0; i < z.rows; ++i)
    squares += row[i] * row[i];
  for (int i = 0; i < z.rows; ++i)
    room.vector[i] = row[i] / std::sqrt(squares);
  return true;
}

// room.projection = X·v₁: σ₁ times the vector, or the channels weighted by it.
void project(const Sizes& z, const Room& room) {
  if (z.transposed) {
    std::fill_n(room.projection, z.positions, 0.0);
    for (std::ptrdiff_t k = 0; k < z.C; ++k)
      for (int p = 0; p < z.positions; ++p)
        room.projection[p] += static_cast<double>(room.x[k * z.stride + p]) * room.vector[k];
    return;
  }
  double eigenvalue = 0;
  for (std::ptrdiff_t i = 0; i < z.rows; ++i)
    for (std::ptrdiff_t j = 0; j < z.rows; ++j)
      eigenvalue += room.vector[i] * room.gram[i * z.side + j] * room.vector[j];
  for (int i = 0; i < z.rows; ++i)
    room.projection[i] = std::sqrt(std::max(eigenvalue, 0.0)) * room.vector[i];
}

template <class T>
bool wants_flip(const Sizes& z, ComponentSign sign, const T* activation, const double* projection) {
  if (sign == ComponentSign::first_negative) return projection[0] > 0;
  if (sign == ComponentSign::largest_positive) {
    const auto [low, high] = std::minmax_element(projection, projection + z.positions);
    return -*low > *high;
  }
  double correlation = 0;  // the projection sums to 0, so the mean map need not be centred
  for (int p = 0; p < z.positions; ++p) {
    double sum = 0;
    for (int k = 0; k < z.C; ++k) {
      const float v = static_cast<float>(*activation++);
      if (!std::isnan(v)) sum += static_cast<double>(v);
    }
    correlation += projection[p] * sum;
  }
  return correlation < 0;
}

template <class T>
void component(const Sizes& z, ComponentSign sign, const T* activation, Room room, float* y) {
  centre(z, activation, room);
  multiply(z, z.terms, z.stride, room.x, room.gram);
  if (!find_vector(z, room)) {
    std::fill_n(y, z.positions, static_cast<float>(trace(z, room.gram) * 0));  // NaN where it is not finite
    return;
  }
  project(z, room);
  const double factor = wants_flip(z, sign, activation, room.projection) ? -1 : 1;
  for (int p = 0; p < z.positions; ++p)
    y[p] = static_cast<float>(factor * room.projection[p]);
}

}  // namespace

void principal_component(const Cpu& backend, const PrincipalShape& s, ConstView x, float* y) {
  const Sizes z(s);
  const auto team = static_cast<std::size_t>(team_size());
  const std::size_t floats = z.floats() + static_cast<std::size_t>(padded(z.C)),
                    doubles =
                        3 * z.doubles() + static_cast<std::size_t>(padded(z.rows) + padded(z.positions));
  auto* single = static_cast<float*>(backend.workspace(team * floats * sizeof(float)));
  auto* twice = static_cast<double*>(backend.workspace(team * doubles * sizeof(double)));
  with_float_type(x.dtype, [&](auto type) {
    const auto* activation = x.as<decltype(type)>();
    parallel_for(s.N, [&](std::int64_t n) {
      const auto slot = static_cast<std::size_t>(team_slot());
      Room room{};
      room.x = single + slot * floats;
      room.mean = room.x + z.floats();
      room.gram = twice + slot * doubles;
      room.power = room.gram + z.doubles();
      room.square = room.power + z.doubles();
      room.vector = room.square + z.doubles();
      room.projection = room.vector + padded(z.rows);
      component(z, s.sign, activation + n * s.positions * s.C, room, y + n * s.positions);
    });
  });
}

}  // namespace clx::kernels
