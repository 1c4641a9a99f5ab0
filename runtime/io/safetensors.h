// safetensors files: named tensors behind a JSON header, the format of checkpoints.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "runtime/tensor.h"

namespace clx::io {

/// The contents of a safetensors file.
struct SafeTensors {
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> metadata;  // the header's `__metadata__`
};

/// Reads a safetensors file; all tensors lie on the cpu.
///
/// Range   F32, BF16, I32, I64 and U8 as they are; F16 → f32 (exact), F64 → f32 (rounded to nearest),
///         BOOL → u8 (0 or 1); other dtypes are refused
/// Throws  DataError `reading <path>: …` if the file is missing or truncated; if the header is longer than
///         the file or 100 MB, is not JSON, repeats a key or nests where it should not; if a dtype, shape,
///         offset or metadata value is not what the format allows; if tensors overlap, leave gaps, do not
///         end where the file ends, or are of another size than dtype and shape say
/// Notes   Nothing is allocated for a tensor before its extent is known to lie in the file.
/// Source  github.com/huggingface/safetensors, README, "Format"
SafeTensors read_safetensors(const std::filesystem::path& path);

/// Writes tensors (f32, bf16, i32, i64, u8) and metadata, so that safetensors.torch.load_file reads them.
///
/// Throws  Error if the file cannot be written, at an undefined tensor, at a name or metadata that is not
///         UTF-8, and at the name `__metadata__`
/// Notes   Byte for byte what the reference writer makes of the same tensors and at most one metadata
///         entry: by falling element size (I64, F32, I32, BF16, U8), then name; the header is padded with
///         spaces to a multiple of 8 bytes. Waits for the tensors' devices. The file is complete or absent
///         (AtomicFile).
void write_safetensors(const std::filesystem::path& path,
                       const std::map<std::string, Tensor>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace clx::io
