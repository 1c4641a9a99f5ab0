// What processes that train together compute from each other's memory: sums and concatenations.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/backend.h"
#include "kernels/process_group.h"

namespace clx::kernels {

/// y[i] = x[i] of rank 0 + x[i] of rank 1 + …, in that order: the same bits in every process and every time.
/// y may be x. Every process calls it with the same count; on a GPU that is not checked. Host memory goes
/// through the group's shared memory; GPUs exchange theirs through NCCL, which is opened at run time.
void all_reduce(const Cpu&, ProcessGroup&, std::int64_t count, const float* x, float* y);
void all_reduce(const Cuda&, ProcessGroup&, std::int64_t count, const float* x, float* y);
void all_reduce(const Emulated&, ProcessGroup&, std::int64_t count, const float* x, float* y);

/// y (size,bytes): the x of every process, in the order of their ranks. y must not overlap x.
void all_gather(const Cpu&, ProcessGroup&, std::size_t bytes, const void* x, void* y);
void all_gather(const Cuda&, ProcessGroup&, std::size_t bytes, const void* x, void* y);
void all_gather(const Emulated&, ProcessGroup&, std::size_t bytes, const void* x, void* y);

/// y[i] = Σ over part of x[part·count + i], parts in order. y may be x's first part. The arithmetic of
/// all_reduce on GPUs.
void sum_parts(const Cuda&, std::int64_t count, int parts, const float* x, float* y);
void sum_parts(const Emulated&, std::int64_t count, int parts, const float* x, float* y);

}  // namespace clx::kernels
