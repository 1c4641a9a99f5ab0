// Host arrays of f32 or bf16 for tests that call kernels on the emulator directly.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <gtest/gtest.h>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "kernels/backend.h"
#include "kernels/dtype.h"
#include "kernels/workspace.h"

namespace clx::tests {

/// n elements in memory of exactly their size, `offset` elements past a 64-byte boundary; NaN at first.
class HostArray {
 public:
  HostArray(std::int64_t n, DType dtype, int offset = 0)
      : n_(n), offset_(static_cast<std::size_t>(offset)), dtype_(dtype) {
    const std::size_t bytes = (static_cast<std::size_t>(n) + offset_) * size_of(dtype);
    memory_.reset(static_cast<std::byte*>(::operator new(bytes, kAlignment)));
    for (std::int64_t i = 0; i < n; ++i)
      set(i, std::numeric_limits<double>::quiet_NaN());
  }

  std::int64_t size() const { return n_; }
  void* data() const { return memory_.get() + offset_ * size_of(dtype_); }
  View view() const { return {data(), dtype_}; }
  template <class T>
  T* as() const {
    return static_cast<T*>(data());
  }

  double operator[](std::int64_t i) const {
    return static_cast<double>(dtype_ == DType::bf16 ? static_cast<float>(as<bf16>()[i]) : as<float>()[i]);
  }
  void set(std::int64_t i, double value) {
    if (dtype_ == DType::bf16)
      as<bf16>()[i] = bf16(static_cast<float>(value));
    else
      as<float>()[i] = static_cast<float>(value);
  }

  std::vector<double> values() const {
    std::vector<double> v;
    for (std::int64_t i = 0; i < n_; ++i)
      v.push_back((*this)[i]);
    return v;
  }

 private:
  static constexpr std::align_val_t kAlignment{64};
  struct Free {
    void operator()(std::byte* p) const { ::operator delete(p, kAlignment); }
  };
  std::int64_t n_;
  std::size_t offset_;
  DType dtype_;
  std::unique_ptr<std::byte, Free> memory_;
};

/// Normal values, rounded to `dtype`.
inline HostArray normal_array(std::int64_t n,
                              unsigned seed,
                              DType dtype = DType::f32,
                              double mean = 0,
                              double std = 1,
                              int offset = 0) {
  HostArray a(n, dtype, offset);
  std::mt19937 generator(seed);
  std::normal_distribution<double> normal(mean, std);
  for (std::int64_t i = 0; i < n; ++i)
    a.set(i, normal(generator));
  return a;
}

/// |got − expected| ≤ absolute + relative·|expected| for every element, bf16 results within a rounding more.
inline void expect_near(const HostArray& got,
                        const std::vector<double>& expected,
                        double relative,
                        double absolute,
                        const char* what) {
  ASSERT_EQ(got.size(), static_cast<std::int64_t>(expected.size())) << what;
  const double rounding = got.view().dtype == DType::bf16 ? 0x1p-8 : 0;
  for (std::int64_t i = 0; i < got.size(); ++i) {
    const double e = expected[static_cast<std::size_t>(i)];
    const double allowed = absolute + (relative + rounding) * std::abs(e);
    ASSERT_TRUE(std::abs(got[i] - e) <= allowed)
        << what << "[" << i << "]: expected " << e << ", got " << got[i] << ", allowed " << allowed;
  }
}

/// The emulator with scratch memory of its own.
class EmulatedKernels {
 public:
  const Emulated& operator()() {
    scratch_.reset();
    return gpu_;
  }

 private:
  Workspace scratch_{[](std::size_t bytes) { return std::malloc(bytes); }, [](void* p) { std::free(p); }};
  Emulated gpu_{&scratch_};
};

}  // namespace clx::tests
