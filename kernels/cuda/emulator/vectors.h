// CUDA's small vector types for g++: the same names, sizes and alignments in the global namespace.
#pragma once

struct uint3 {
  unsigned x, y, z;
};

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1)
      : x(x_), y(y_), z(z_) {}                            // NOLINT: as CUDA's
  constexpr operator uint3() const { return {x, y, z}; }  // NOLINT
};

#define CLX_EMULATED_VECTORS(Type, Name, align2, align4)          \
  struct alignas(align2) Name##2 {                                \
    Type x, y;                                                    \
  };                                                              \
  struct alignas(align4) Name##4 {                                \
    Type x, y, z, w;                                              \
  };                                                              \
  inline Name##2 make_##Name##2(Type x, Type y) {                 \
    return {x, y};                                                \
  }                                                               \
  inline Name##4 make_##Name##4(Type x, Type y, Type z, Type w) { \
    return {x, y, z, w};                                          \
  }
CLX_EMULATED_VECTORS(unsigned char, uchar, 2, 4)
CLX_EMULATED_VECTORS(unsigned short, ushort, 4, 8)
CLX_EMULATED_VECTORS(int, int, 8, 16)
CLX_EMULATED_VECTORS(unsigned, uint, 8, 16)
CLX_EMULATED_VECTORS(float, float, 8, 16)
CLX_EMULATED_VECTORS(double, double, 16, 16)
#undef CLX_EMULATED_VECTORS

struct float3 {
  float x, y, z;
};
inline float3 make_float3(float x, float y, float z) {
  return {x, y, z};
}
