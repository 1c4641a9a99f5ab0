// What: y[i] = f(x[i], …) for sums, ReLU, conversion and constants, f32 and bf16.
// Who: a thread takes 8 neighbouring elements at a time (1 where memory is unaligned), a block 256 threads;
//   the grid strides over the array; the thread at the ragged end goes element by element.
// Where: registers only.
// Limit: memory: each input is read once and y written once.
#include "kernels/elementwise.h"

#include <algorithm>
#include <cstdint>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/pack.cuh"

namespace clx::kernels {
namespace {

constexpr int kThreads = 256, kMostBlocks = 4096;

struct Add {
  __device__ float operator()(float a, float c) const { return a + c; }
};
struct Relu {
  __device__ float operator()(float x) const { return x <= 0 ? 0 : x; }  // NaN stays
};
struct ReluGradient {
  __device__ float operator()(float y, float dy) const { return y > 0 ? dy : 0; }
};
struct Copy {
  __device__ float operator()(float x) const { return x; }
};
struct Fill {
  float value;
  __device__ float operator()() const { return value; }
};

// y may be one of the inputs: a thread reads all it needs of an element before it writes it.
template <int V, class F, class Out, class... In>
__global__ void __launch_bounds__(kThreads) map_kernel(std::int64_t n, F f, Out* y, const In*... x) {
  const std::int64_t stride = std::int64_t(gridDim.x) * blockDim.x * V;
  for (std::int64_t i = (std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x) * V; i < n; i += stride) {
    if (i + V <= n) {
      float out[V];
      const auto apply = [&](const Pack<In, V>&... in) {
#pragma unroll
        for (int v = 0; v < V; ++v)
          out[v] = f(static_cast<float>(in.v[v])...);
      };
      apply(*reinterpret_cast<const Pack<In, V>*>(x + i)...);
      store<V>(y + i, out);
    } else {
      for (std::int64_t j = i; j < n; ++j)
        y[j] = static_cast<Out>(f(static_cast<float>(x[j])...));
    }
  }
}

template <class F, class Out, class... In>
void map(const Gpu& b, std::int64_t n, F f, Out* y, const In*... x) {
  with_pack(aligned(y, x...), [&](auto width) {
    constexpr int V = width;
    const std::int64_t tile = std::int64_t(kThreads) * V;
    const auto blocks = std::clamp<std::int64_t>((n + tile - 1) / tile, 1, kMostBlocks);
    launch(map_kernel<V, F, Out, In...>, dim3(static_cast<unsigned>(blocks)), dim3(kThreads), 0, b, n, f, y,
           x...);
  });
}

}  // namespace

void add(const Gpu& b, std::int64_t n, ConstView a, ConstView c, View y) {
  with_float_type(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    map(b, n, Add{}, y.as<T>(), a.as<T>(), c.as<T>());
  });
}

void relu_forward(const Gpu& b, std::int64_t n, ConstView x, View y) {
  with_float_type(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    map(b, n, Relu{}, y.as<T>(), x.as<T>());
  });
}

void relu_backward(const Gpu& b, std::int64_t n, ConstView y, ConstView dy, View dx) {
  with_float_type(dx.dtype, [&](auto zero) {
    using T = decltype(zero);
    map(b, n, ReluGradient{}, dx.as<T>(), y.as<T>(), dy.as<T>());
  });
}

void convert(const Gpu& b, std::int64_t n, ConstView x, View y) {
  with_float_type(x.dtype, [&](auto from) {
    with_float_type(y.dtype,
                    [&](auto to) { map(b, n, Copy{}, y.as<decltype(to)>(), x.as<decltype(from)>()); });
  });
}

void fill(const Gpu& b, std::int64_t n, float value, View y) {
  with_float_type(y.dtype, [&](auto zero) { map(b, n, Fill{value}, y.as<decltype(zero)>()); });
}

}  // namespace clx::kernels
