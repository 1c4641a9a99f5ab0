// Backend tags: the first argument of every kernel says where its pointers live and carries what the
// kernel needs from there: a stream to run on, scratch memory to run in.
#pragma once

#include <cstddef>

struct CUstream_st;  // the CUDA runtime's own stream type, named without its header

namespace clx {

class Workspace;

/// Host memory, the calling thread and the threads of kernels/cpu/parallel.h.
struct Cpu {
  Workspace* scratch = nullptr;
  void* workspace(std::size_t bytes) const;
};

/// Memory of one NVIDIA GPU; work is queued on `stream` and runs after the call returns.
struct Cuda {
  int index = 0;
  CUstream_st* stream = nullptr;
  Workspace* scratch = nullptr;
  void* workspace(std::size_t bytes) const;
};

/// Host memory, on which the CUDA kernels are executed thread by thread (kernels/cuda/emulator).
struct Emulated {
  Workspace* scratch = nullptr;
  void* workspace(std::size_t bytes) const;
};

}  // namespace clx
