// The element types of memory, and typed views of it: a pointer and what it points to.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/bf16.h"

namespace clx {

enum class DType : std::uint8_t { f32, bf16, u8, i32, i64 };

constexpr std::size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return 4;
    case DType::bf16:
      return 2;
    case DType::u8:
      return 1;
    case DType::i32:
      return 4;
    case DType::i64:
      return 8;
  }
  return 0;
}

constexpr const char* name_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "f32";
    case DType::bf16:
      return "bf16";
    case DType::u8:
      return "u8";
    case DType::i32:
      return "i32";
    case DType::i64:
      return "i64";
  }
  return "?";
}

template <class T>
inline constexpr DType kDTypeOf = DType::f32;
template <>
inline constexpr DType kDTypeOf<clx::bf16> = DType::bf16;
template <>
inline constexpr DType kDTypeOf<std::uint8_t> = DType::u8;
template <>
inline constexpr DType kDTypeOf<std::int32_t> = DType::i32;
template <>
inline constexpr DType kDTypeOf<std::int64_t> = DType::i64;

/// Memory that a kernel writes. Null where an output is not wanted.
struct View {
  void* data = nullptr;
  DType dtype = DType::f32;
  explicit operator bool() const { return data != nullptr; }
  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
};

/// Memory that a kernel reads. Null where an input is absent.
struct ConstView {
  const void* data = nullptr;
  DType dtype = DType::f32;
  ConstView() = default;
  ConstView(const void* data_, DType dtype_) : data(data_), dtype(dtype_) {}
  ConstView(View v) : data(v.data), dtype(v.dtype) {}  // NOLINT: a reader may always take a writer's view
  explicit operator bool() const { return data != nullptr; }
  template <class T>
  const T* as() const {
    return static_cast<const T*>(data);
  }
};

/// Calls `f` with a value of the activation type `dtype` names: float or bf16.
template <class F>
void with_float_type(DType dtype, F&& f) {
  if (dtype == DType::bf16)
    f(bf16{});
  else
    f(float{});
}

}  // namespace clx
