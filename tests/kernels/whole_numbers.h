// Arrays of small whole numbers in a backend's memory: products of them have exact sums, so kernels are
// compared with integer loops for equality.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "kernels/backend.h"
#include "kernels/dtype.h"
#include "kernels/memory.h"
#include "kernels/workspace.h"

namespace clx::tests {

using Integers = std::vector<std::int64_t>;

inline Integers random_integers(std::mt19937& random, std::int64_t size, int largest = 4) {
  std::uniform_int_distribution<int> one(-largest, largest);
  Integers values(static_cast<std::size_t>(size));
  for (auto& value : values)
    value = one(random);
  return values;
}

/// A backend's tag with scratch of its own.
template <class Backend>
class WithScratch {
 public:
  const Backend& operator()() {
    scratch_.reset();
    return tag_;
  }

 private:
  Workspace scratch_{[](std::size_t bytes) { return kernels::allocate(Backend{}, bytes); },
                     [](void* p) { kernels::release(Backend{}, p); }};
  Backend tag_{&scratch_};
};
using EmulatedDevice = WithScratch<Emulated>;

/// `size` elements of f32 or bf16, `offset` elements past an aligned address, between guards of sevens.
template <class Backend>
class GuardedArray {
 public:
  GuardedArray(std::int64_t size, DType dtype, int offset = 0)
      : size_(static_cast<std::size_t>(size)),
        first_(kGuard + static_cast<std::size_t>(offset)),
        dtype_(dtype),
        memory_(static_cast<std::byte*>(kernels::allocate(Backend{}, bytes()))) {
    std::vector<float> values(first_ + size_ + kGuard, 7.f);
    write(values);
  }
  template <class Number>
  GuardedArray(const std::vector<Number>& numbers, DType dtype, int offset = 0)
      : GuardedArray(static_cast<std::int64_t>(numbers.size()), dtype, offset) {
    std::vector<float> values(first_ + size_ + kGuard, 7.f);
    for (std::size_t i = 0; i < size_; ++i)
      values[first_ + i] = static_cast<float>(numbers[i]);
    write(values);
  }
  GuardedArray(GuardedArray&& other) noexcept
      : size_(other.size_),
        first_(other.first_),
        dtype_(other.dtype_),
        memory_(std::exchange(other.memory_, nullptr)) {}
  GuardedArray& operator=(GuardedArray&&) = delete;
  ~GuardedArray() {
    if (memory_ != nullptr) kernels::release(Backend{}, memory_);
  }

  void* data() const { return memory_ + first_ * size_of(dtype_); }
  float* floats() const { return static_cast<float*>(data()); }
  View view() const { return {data(), dtype_}; }

  void set(std::size_t i, float value) {
    std::vector<float> values = read();
    values[first_ + i] = value;
    write(values);
  }
  std::vector<float> values() const {
    const std::vector<float> all = read();
    return {all.begin() + std::ptrdiff_t(first_), all.end() - std::ptrdiff_t(kGuard)};
  }
  bool guards_intact() const {
    const std::vector<float> all = read();
    for (std::size_t i = 0; i < all.size(); ++i) {
      if ((i < first_ || i >= first_ + size_) && all[i] != 7.f) return false;
    }
    return true;
  }

 private:
  static constexpr std::size_t kGuard = 64;
  std::size_t bytes() const { return (first_ + size_ + kGuard) * size_of(dtype_); }
  void write(const std::vector<float>& values) {
    if (dtype_ == DType::f32) return kernels::copy_from_host(Backend{}, bytes(), values.data(), memory_);
    std::vector<bf16> rounded;
    for (const float value : values)
      rounded.emplace_back(value);
    kernels::copy_from_host(Backend{}, bytes(), rounded.data(), memory_);
  }
  std::vector<float> read() const {
    std::vector<float> values(first_ + size_ + kGuard);
    if (dtype_ == DType::f32) {
      kernels::copy_to_host(Backend{}, bytes(), memory_, values.data());
    } else {
      std::vector<bf16> rounded(values.size());
      kernels::copy_to_host(Backend{}, bytes(), memory_, rounded.data());
      for (std::size_t i = 0; i < values.size(); ++i)
        values[i] = static_cast<float>(rounded[i]);
    }
    return values;
  }

  std::size_t size_, first_;
  DType dtype_;
  std::byte* memory_;
};
using EmulatedArray = GuardedArray<Emulated>;

/// What a kernel stores of an exact result.
inline float stored(std::int64_t exact, DType dtype) {
  const auto value = static_cast<float>(exact);
  return dtype == DType::bf16 ? static_cast<float>(bf16(value)) : value;
}

/// The first place where `got` differs from the exact results or a guard is broken; "" if none.
template <class Backend>
std::string difference(const GuardedArray<Backend>& got, const Integers& exact) {
  const std::vector<float> values = got.values();
  for (std::size_t i = 0; i < exact.size(); ++i) {
    const float expected = stored(exact[i], got.view().dtype);
    if (!(values[i] == expected))
      return "element " + std::to_string(i) + " of " + std::to_string(exact.size()) + ": expected " +
             std::to_string(expected) + ", got " + std::to_string(values[i]);
  }
  return got.guards_intact() ? "" : "written outside the result";
}

}  // namespace clx::tests
