// Sixteen sums at a time. For the pass along rows, sixteen rows are turned so that their pixels at one place
// lie side by side, in both passes the lanes then share one weight.
#include "kernels/resize_u8.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace clx::kernels {
namespace {

constexpr int kBytes = 16, kFractionBits = 22;
using Bytes = std::uint8_t __attribute__((vector_size(kBytes)));
using Words = std::uint16_t __attribute__((vector_size(2 * kBytes)));
using Sums = std::int32_t __attribute__((vector_size(4 * kBytes)));

Bytes load(const std::uint8_t* p) {
  Bytes v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
void store(std::uint8_t* p, Bytes v) {
  std::memcpy(p, &v, sizeof v);
}

// In two steps, each of which g++ 12 knows as one instruction.
Sums widened(Bytes v) {
  return __builtin_convertvector(__builtin_convertvector(v, Words), Sums);
}

// Of the n inputs x, x + step, ….
Bytes filtered(int n, const std::int32_t* weights, const std::uint8_t* x, std::int64_t step) {
  Sums sum = Sums{} + (1 << (kFractionBits - 1));
  for (int k = 0; k < n; ++k)
    sum += weights[k] * widened(load(x + k * step));
  sum >>= kFractionBits;
  sum = sum > 255 ? Sums{} + 255 : sum;
  return __builtin_convertvector(sum, Bytes);
}

// Byte j of row i to byte i of row j.
void transpose(Bytes (&a)[kBytes]) {
  constexpr Bytes kLow{0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23};
  constexpr Bytes kHigh{8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  for (int stage = 0; stage < 4; ++stage) {
    Bytes b[kBytes];
    for (int i = 0; i < kBytes / 2; ++i) {
      b[2 * i] = __builtin_shuffle(a[i], a[i + kBytes / 2], kLow);
      b[2 * i + 1] = __builtin_shuffle(a[i], a[i + kBytes / 2], kHigh);
    }
    std::copy(b, b + kBytes, a);
  }
}

int blocks_over(int n) {
  return (n + kBytes - 1) / kBytes;
}

// Up to 16 rows of n bytes to turned (n,16); the rest of the last block of 16 bytes is zeros.
void turn(int rows, int n, const std::uint8_t* x, std::int64_t stride, std::uint8_t* turned) {
  Bytes a[kBytes];
  for (int i = 0; i < n; i += kBytes) {
    for (int r = 0; r < kBytes; ++r) {
      const std::uint8_t* from = x + std::min(r, rows - 1) * stride + i;
      if (i + kBytes <= n) {
        a[r] = load(from);
      } else {
        a[r] = Bytes{};
        std::memcpy(&a[r], from, static_cast<std::size_t>(n - i));
      }
    }
    transpose(a);
    for (int r = 0; r < kBytes; ++r)
      store(turned + static_cast<std::ptrdiff_t>(i + r) * kBytes, a[r]);
  }
}

// And back.
void turn_back(int rows, int n, const std::uint8_t* turned, std::uint8_t* y) {
  Bytes a[kBytes];
  for (int i = 0; i < n; i += kBytes) {
    for (int r = 0; r < kBytes; ++r)
      a[r] = load(turned + static_cast<std::ptrdiff_t>(i + r) * kBytes);
    transpose(a);
    for (int r = 0; r < rows; ++r)
      std::memcpy(y + static_cast<std::ptrdiff_t>(r) * n + i, &a[r],
                  static_cast<std::size_t>(std::min(kBytes, n - i)));
  }
}

}  // namespace

void resize_rows(const Cpu&,
                 int rows,
                 int width,
                 int C,
                 const std::uint8_t* x,
                 std::int64_t stride,
                 const FixedFilter& filter,
                 std::uint8_t* y) {
  const int n = width * C, m = filter.out * C;
  const auto turned_size = static_cast<std::size_t>(blocks_over(n)) * kBytes * kBytes;
  std::vector<std::uint8_t> scratch(turned_size + static_cast<std::size_t>(blocks_over(m)) * kBytes * kBytes);
  std::uint8_t *turned = scratch.data(), *resized = turned + turned_size;
  for (int h = 0; h < rows; h += kBytes) {
    const int some = std::min(kBytes, rows - h);
    turn(some, n, x + h * stride, stride, turned);
    for (int w = 0; w < filter.out; ++w) {
      const std::int32_t* weights = filter.weights + static_cast<std::ptrdiff_t>(w) * filter.most;
      for (int c = 0; c < C; ++c)
        store(resized + static_cast<std::ptrdiff_t>(w * C + c) * kBytes,
              filtered(filter.count[w], weights,
                       turned + static_cast<std::ptrdiff_t>(filter.first[w] * C + c) * kBytes,
                       static_cast<std::int64_t>(C) * kBytes));
    }
    turn_back(some, m, resized, y + static_cast<std::ptrdiff_t>(h) * m);
  }
}

void resize_columns(const Cpu&,
                    int n,
                    const std::uint8_t* x,
                    std::int64_t stride,
                    const FixedFilter& filter,
                    std::uint8_t* y) {
  for (int h = 0; h < filter.out; ++h, y += n) {
    const std::int32_t* weights = filter.weights + static_cast<std::ptrdiff_t>(h) * filter.most;
    const std::uint8_t* from = x + filter.first[h] * stride;
    int i = 0;
    for (; i + kBytes <= n; i += kBytes)
      store(y + i, filtered(filter.count[h], weights, from + i, stride));
    for (; i < n; ++i) {
      std::int32_t sum = 1 << (kFractionBits - 1);
      for (int k = 0; k < filter.count[h]; ++k)
        sum += weights[k] * from[k * stride + i];
      y[i] = static_cast<std::uint8_t>(std::min(sum >> kFractionBits, 255));
    }
  }
}

}  // namespace clx::kernels
