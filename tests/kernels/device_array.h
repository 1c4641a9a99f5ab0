// An array in the memory of a backend, for tests of kernels.
#pragma once

#include <cstddef>
#include <vector>

#include "kernels/memory.h"

namespace clx::kernels {

/// Owns n elements of `backend`'s memory.
template <class Backend, class T>
class DeviceArray {
 public:
  DeviceArray(const Backend& backend, const std::vector<T>& values)
      : backend_(backend), size_(values.size()) {
    data_ = static_cast<T*>(allocate(backend_, size_ * sizeof(T)));
    copy_from_host(backend_, size_ * sizeof(T), values.data(), data_);
  }
  DeviceArray(const Backend& backend, std::size_t n) : backend_(backend), size_(n) {
    data_ = static_cast<T*>(allocate(backend_, n * sizeof(T)));
  }
  ~DeviceArray() { release(backend_, data_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* data() const { return data_; }
  operator T*() const { return data_; }  // NOLINT: it stands for its pointer in a launch
  std::vector<T> to_host() const {
    std::vector<T> values(size_);
    copy_to_host(backend_, size_ * sizeof(T), data_, values.data());
    return values;
  }

 private:
  Backend backend_;
  std::size_t size_;
  T* data_ = nullptr;
};

}  // namespace clx::kernels
