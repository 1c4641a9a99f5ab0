// numpy's .npy files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "runtime/tensor.h"

namespace clx::io {

/// Reads a .npy file of version 1, 2 or 3.
///
/// Shapes  any, up to 64 axes; in C order
/// Range   float32, int32, int64 and uint8 as they are; float16 → f32 (exact), float64 → f32 (rounded),
///         bool → u8 (0 or 1)
/// Throws  DataError `reading <path>: …` if the file is missing, truncated or longer than its header
///         says; if it is in Fortran order (unless that is the same), big-endian, or of another dtype
/// Source  numpy.lib.format, NEP 1
Tensor read_npy(const std::filesystem::path& path);

/// The same from memory. `name` stands for the path in messages.
Tensor decode_npy(std::span<const std::uint8_t> bytes, const std::string& name);

/// Writes a tensor as .npy version 1; bf16 becomes float32 (exact).
///
/// Throws  Error if it cannot be written, if x is undefined or has more than 32 axes
/// Notes   Waits for the tensor's device. The file is complete or absent (AtomicFile).
void write_npy(const std::filesystem::path& path, const Tensor& x);

/// The bytes that write_npy writes.
std::vector<std::uint8_t> encode_npy(const Tensor& x);

}  // namespace clx::io
