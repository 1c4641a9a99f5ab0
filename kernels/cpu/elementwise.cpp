#include "kernels/elementwise.h"

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector.h"

namespace clx::kernels {
namespace {

constexpr std::int64_t kGrain = 1 << 15;  // a multiple of the lanes: only the last range has a tail

// y[i] = f(inputs[i]...), sixteen elements at a time.
template <class Y, class F, class... X>
void map(std::int64_t n, Y* y, F f, const X*... x) {
  parallel_ranges(n, kGrain, [&](std::int64_t begin, std::int64_t end) {
    std::int64_t i = begin;
    for (; i + kLanes <= end; i += kLanes)
      store(y + i, f(load(x + i)...));
    if (const int rest = static_cast<int>(end - i)) store_first(y + i, f(load_first(x + i, rest)...), rest);
  });
}

}  // namespace

void add(const Cpu&, std::int64_t n, ConstView a, ConstView c, View y) {
  with_float_type(y.dtype, [&](auto type) {
    using T = decltype(type);
    map(
        n, y.as<T>(), [](Vec p, Vec q) { return p + q; }, a.as<T>(), c.as<T>());
  });
}

void relu_forward(const Cpu&, std::int64_t n, ConstView x, View y) {
  with_float_type(y.dtype, [&](auto type) {
    using T = decltype(type);
    map(
        n, y.as<T>(), [](Vec v) { return relu(v); }, x.as<T>());
  });
}

void relu_backward(const Cpu&, std::int64_t n, ConstView y, ConstView dy, View dx) {
  with_float_type(dx.dtype, [&](auto type) {
    using T = decltype(type);
    map(
        n, dx.as<T>(), [](Vec v, Vec g) { return v > Vec{} ? g : Vec{}; }, y.as<T>(), dy.as<T>());
  });
}

void convert(const Cpu&, std::int64_t n, ConstView x, View y) {
  with_float_type(x.dtype, [&](auto from) {
    with_float_type(y.dtype, [&](auto to) {
      map(
          n, y.as<decltype(to)>(), [](Vec v) { return v; }, x.as<decltype(from)>());
    });
  });
}

void fill(const Cpu&, std::int64_t n, float value, View y) {
  with_float_type(y.dtype, [&](auto type) {
    using T = decltype(type);
    map(n, y.as<T>(), [value] { return Vec{} + value; });
  });
}

}  // namespace clx::kernels
