// How numbers lie in files: the element types of numpy and safetensors, and tensors made from them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "runtime/tensor.h"

namespace clx::io {

enum class Element : std::uint8_t { boolean, u8, f16, bf16, i32, f32, f64, i64 };

std::size_t size_of(Element element);

/// Bytes of a dense array, or nothing if an extent is negative or the product exceeds 2⁶².
std::optional<std::uint64_t> array_bytes(const std::vector<std::int64_t>& dims, Element element);

/// The nearest f32 to an IEEE half; exact.
float half_to_float(std::uint16_t bits);

/// A tensor on the cpu with what `read(memory, bytes)` delivers, little-endian.
///
/// Notes  Types the framework does not compute in become those it does: f16 → f32 (exact), f64 → f32
///        (rounded to nearest; beyond f32's range infinite), boolean → u8 (0 or 1).
Tensor read_elements(Element element,
                     const Shape& shape,
                     const std::function<void(void*, std::size_t)>& read);

}  // namespace clx::io
