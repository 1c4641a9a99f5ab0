// ldmatrix and mma.sync. Products of bf16 and tf32 are exact in f32; sums are taken in f32 with k
// ascending. The hardware sums in another order and precision (rough.h): compare with a tolerance.
#include <bit>
#include <cstring>

#include "kernels/cuda/emulator/block.h"
#include "kernels/cuda/emulator/instructions.h"
#include "kernels/cuda/emulator/race.h"
#include "kernels/cuda/emulator/rough.h"

namespace clx::emulator {
namespace {

float bf16_value(std::uint32_t bits) {
  return std::bit_cast<float>(bits << 16);
}
float tf32_value(std::uint32_t bits) {
  return std::bit_cast<float>(bits & 0xffffe000u);
}

struct LoadArgument {
  std::uint32_t* r;
  const void* row;
};

template <bool kTranspose>
void run_ldmatrix(void* const* lanes, std::uint32_t) {
  for (int i = 0; i < 4; ++i) {
    std::uint16_t matrix[8][8];
    for (int j = 0; j < 8; ++j)
      std::memcpy(matrix[j], static_cast<LoadArgument*>(lanes[8 * i + j])->row, sizeof matrix[j]);
    for (int lane = 0; lane < 32; ++lane) {
      const int row = lane / 4, col = 2 * (lane % 4);
      const std::uint32_t low = kTranspose ? matrix[col][row] : matrix[row][col];
      const std::uint32_t high = kTranspose ? matrix[col + 1][row] : matrix[row][col + 1];
      static_cast<LoadArgument*>(lanes[lane])->r[i] = low | high << 16;
    }
  }
}

struct MmaArgument {
  float* d;
  const std::uint32_t *a, *b;
};

/// d (16×8) += a (16×K) · b (K×8), the fragments of d moved in and out.
template <int K>
void multiply(void* const* lanes, const float (&a)[16][K], const float (&b)[K][8]) {
  float d[16][8];
  const auto each = [&](auto f) {
    for (int lane = 0; lane < 32; ++lane)
      for (int i = 0; i < 4; ++i)
        f(static_cast<MmaArgument*>(lanes[lane])->d[i], d[lane / 4 + (i >> 1) * 8][(lane % 4) * 2 + (i & 1)]);
  };
  each([](float& fragment, float& element) { element = fragment; });
  if (worker->config.rough) {
    for (int row = 0; row < 16; ++row)
      for (int col = 0; col < 8; ++col)
        d[row][col] = rough_sum(d[row][col], a[row], &b[0][col], K, 8);
  } else {
    for (int row = 0; row < 16; ++row)
      for (int k = 0; k < K; ++k)
        for (int col = 0; col < 8; ++col)
          d[row][col] += a[row][k] * b[k][col];
  }
  each([](float& fragment, float& element) { fragment = element; });
}

void run_mma_bf16(void* const* lanes, std::uint32_t) {
  float a[16][16], b[16][8];
  for (int lane = 0; lane < 32; ++lane) {
    const auto* x = static_cast<MmaArgument*>(lanes[lane]);
    const int g = lane / 4, t = (lane % 4) * 2;
    for (int i = 0; i < 4; ++i) {
      const int row = g + (i & 1) * 8, k = t + (i >> 1) * 8;
      a[row][k] = bf16_value(x->a[i] & 0xffff);
      a[row][k + 1] = bf16_value(x->a[i] >> 16);
    }
    for (int i = 0; i < 2; ++i) {
      b[t + i * 8][g] = bf16_value(x->b[i] & 0xffff);
      b[t + i * 8 + 1][g] = bf16_value(x->b[i] >> 16);
    }
  }
  multiply(lanes, a, b);
}

void run_mma_tf32(void* const* lanes, std::uint32_t) {
  float a[16][8], b[8][8];
  for (int lane = 0; lane < 32; ++lane) {
    const auto* x = static_cast<MmaArgument*>(lanes[lane]);
    const int g = lane / 4, t = lane % 4;
    for (int i = 0; i < 4; ++i)
      a[g + (i & 1) * 8][t + (i >> 1) * 4] = tf32_value(x->a[i]);
    for (int i = 0; i < 2; ++i)
      b[t + i * 4][g] = tf32_value(x->b[i]);
  }
  multiply(lanes, a, b);
}

void require_full_warp(const char* what, Site site) {
  const Warp& warp = worker->warps[current->warp];
  if (warp.exist != ~0u) fail("%s at %s:%u: the warp has fewer than 32 lanes", what, site.file, site.line);
}

}  // namespace

void ldmatrix_x4(std::uint32_t* r, const void* row, bool transpose, Site site) {
  require_full_warp("ldmatrix", site);
  if (reinterpret_cast<std::uintptr_t>(row) % 16)
    fail("ldmatrix at %s:%u: row at %p is not aligned to 16 bytes", site.file, site.line, row);
  require_shared(row, 16, "ldmatrix", site);
  race::access(row, 16, false, false, __builtin_return_address(0));
  LoadArgument x{r, row};
  warp_collective(~0u, transpose ? run_ldmatrix<true> : run_ldmatrix<false>, &x, false, site);
}

void mma_m16n8k16_bf16(float* d, const std::uint32_t* a, const std::uint32_t* b, Site site) {
  require_full_warp("mma", site);
  MmaArgument x{d, a, b};
  warp_collective(~0u, run_mma_bf16, &x, false, site);
}

void mma_m16n8k8_tf32(float* d, const std::uint32_t* a, const std::uint32_t* b, Site site) {
  require_full_warp("mma", site);
  MmaArgument x{d, a, b};
  warp_collective(~0u, run_mma_tf32, &x, false, site);
}

}  // namespace clx::emulator
