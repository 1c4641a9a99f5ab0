// GPUs made of the host: what is queued on a stream is done as late as CUDA allows, when somebody waits for
// it, and kernels are executed from their PTX (kernels/cuda/emulator/compiled_launch.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cuda_runtime.h>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace clx::stand_in {

/// From the environment: CLX_STAND_IN_GPUS (1), CLX_STAND_IN_CAPABILITY (90), CLX_STAND_IN_MEMORY (bytes of
/// each, 8 GiB), CLX_STAND_IN_LOG (a file).
///
/// With a log nothing is executed and what the host reads are bytes of 1, so that programs go through real
/// sizes in seconds. A line for each launch, those of a graph once: kernel TAB blocks TAB threads of a block
/// TAB bytes of shared memory TAB address:bytes of the allocations that its parameters point to; and at the
/// end "most memory" TAB bytes.
struct Settings {
  int gpus = 1, capability = 90;
  std::size_t memory = std::size_t{8} << 30;
  std::FILE* log = nullptr;
};
const Settings& settings();

using Work = std::function<void()>;

/// What a capture noted.
struct Graph {
  int device = 0;
  std::vector<Work> nodes;
};

struct Stream {
  int device = 0;
  std::deque<Work> queue;
  std::uint64_t queued = 0, done = 0;
  std::shared_ptr<Graph> capture{};  // while it captures
  cudaStreamCaptureMode mode{};
  std::thread::id capturing_thread{};
};

struct Event {
  int device = 0;
  Stream* stream = nullptr;  // of the last record
  std::uint64_t at = 0;      // after so many of the stream's pieces of work
  bool captured = false;
};

struct Gpus {
  std::mutex mutex;                  // held in every call
  cudaError_t failed = cudaSuccess;  // a kernel's fault stays
  std::vector<Stream*> streams;
  struct Allocation {
    std::uintptr_t begin;
    std::size_t bytes;
    int device;  // -1 for page-locked memory of the host
  };
  std::map<std::uintptr_t, Allocation> allocations;
  std::map<const void*, std::string> kernels;      // mangled names by their functions of the host
  std::map<const void*, std::size_t> most_shared;  // dynamic shared memory allowed by cudaFuncSetAttribute
  std::map<int, std::size_t> used;                 // bytes per device
  std::size_t most_used = 0;                       // of one

  static Gpus& all();
  const Allocation* allocation_of(const void* p) const;
};

int& current_device();

/// Ends the call with `code` and says why on stderr.
[[noreturn]] void refuse(cudaError_t code, const std::string& why);

/// Queues on the stream, or notes while it captures.
void enqueue(Stream&, Work);
/// Does what is queued on it until `target` pieces of work are done.
void run_until(Stream&, std::uint64_t target);
inline void run_all(Stream& stream) {
  run_until(stream, stream.queued);
}

/// A call that CUDA forbids while a stream captures, except in relaxed mode.
void require_no_strict_capture(const char* what);

/// The launch of the kernel behind a function of the host, checked as CUDA checks it.
Work kernel_launch(const void* function, const cudaLaunchConfig_t&, void** arguments);

}  // namespace clx::stand_in
