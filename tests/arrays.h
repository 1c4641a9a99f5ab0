// Arrays of test values, and their way to a device and back.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/tensor.h"
#include "tests/reference/array.h"

namespace clx::tests {

using reference::Array;

/// The nearest value that `dtype` can hold.
double representable(double value, DType dtype);

/// Every element is a value of `dtype`, so that a device and the reference see the same numbers.
Array map_to(DType dtype, Array a);

/// Independent uniform values within [low, high).
Array uniform(Shape shape, unsigned seed, double low = -1, double high = 1, DType dtype = DType::f32);

/// Independent integers within −limit … limit: sums of their products are exact in f32.
Array integers(Shape shape, unsigned seed, int limit = 3);

/// The odd multiples of 1/64 around 0 in random order: none is 0 and no two are closer than 1/32, so that
/// a small step crosses no kink of a maximum. Up to 256 of them are exact in bf16.
Array spaced(Shape shape, unsigned seed);

Tensor to_tensor(const Array& a, Device device, DType dtype = DType::f32);

Array to_array(const Tensor& t);

/// The contents of a tensor byte by byte.
std::vector<std::uint8_t> bits(const Tensor& t);

}  // namespace clx::tests
