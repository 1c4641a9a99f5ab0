// What the libraries that stand in for NVIDIA's have in common.
#pragma once

#include <cstddef>
#include <cstring>

#include "kernels/dtype.h"

namespace clx::kernels {

constexpr std::size_t kScratch = 4096;  // bytes that every algorithm asks for

inline const char* status_text(bool success) {
  return success ? "success" : "refused by the fake";
}

/// Handles and descriptors are ours behind the library's name for them.
template <class Made, class Handle>
void make(Handle* handle, Made made = {}) {
  *handle = reinterpret_cast<Handle>(new Made(made));
}
template <class Made, class Handle>
void destroy(Handle handle) {
  delete reinterpret_cast<Made*>(handle);
}

inline double value_at(const void* data, DType dtype, std::size_t i) {
  return dtype == DType::bf16 ? static_cast<float>(static_cast<const bf16*>(data)[i])
                              : static_cast<const float*>(data)[i];
}

/// Whether a call is of the kind that ours are: to = 1·result + 0·to, with the scratch asked for; which is
/// used.
inline bool called_well(const void* alpha, const void* beta, void* scratch, std::size_t bytes) {
  if (*static_cast<const float*>(alpha) != 1 || *static_cast<const float*>(beta) != 0 || bytes != kScratch)
    return false;
  std::memset(scratch, 0xA5, bytes);
  return true;
}

}  // namespace clx::kernels
