// What an emulated thread knows of itself, and what it asks of the scheduler.
#pragma once

#include <cstddef>
#include <cstdint>
#include <source_location>
#include <stdexcept>
#include <string>

#include "kernels/cuda/emulator/vectors.h"

namespace clx::emulator {

/// A place in a kernel's source.
struct Site {
  const char* file = "?";
  unsigned line = 0, column = 0;
  Site() = default;
  Site(std::source_location at)  // NOLINT: the default argument of every collective
      : file(at.file_name()), line(at.line()), column(at.column()) {}
};

/// A kernel broke a rule of CUDA; the text begins with block and thread.
class KernelError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct ThreadContext {
  uint3 thread_index{}, block_index{};
  dim3 block_dim, grid_dim;
  int linear = -1, lane = 0, warp = 0;
};
extern constinit thread_local ThreadContext* current;

/// Ends the launch with KernelError. Inside a kernel the block is abandoned where it stands.
[[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

/// Throws KernelError, which begins with `where`, for a grid or block that no device takes.
void check_launch(const std::string& where, dim3 grid, dim3 block, std::size_t dynamic_bytes);

/// Runs `body(context)` once per thread of the grid. Throws KernelError; one launch at a time.
void run_grid(
    Site site, dim3 grid, dim3 block, std::size_t dynamic_bytes, void (*body)(void*), void* context);

/// The value of one kernel parameter.
struct Argument {
  const void* data;
  std::size_t bytes;
};

/// The same with the PTX that nvcc made of `kernel` (kernels/cuda/emulator/compiled.h).
/// Throws: std::runtime_error if there is none for the configured layer, or an instruction in it is unknown.
void run_compiled(Site site,
                  const void* kernel,
                  dim3 grid,
                  dim3 block,
                  std::size_t dynamic_bytes,
                  const Argument* arguments,
                  std::size_t count);

/// Whether launches go to run_compiled, and the device that the launchers are told of: 80 or 90.
bool runs_compiled();
int compute_capability();

/// Lets other threads of the block run.
void yield();

// Barriers. `count` = 0 stands for all threads of the block.
void barrier_sync(int id, int count, Site);
void barrier_arrive(int id, int count, Site);
enum class Vote { count, all, any };
int barrier_vote(Vote, bool predicate, Site);

// Collectives: every lane named in the mask deposits a pointer to its arguments, the last to arrive runs
// `function` for all of them. The same call site and mask for all lanes, or the launch fails.
using WarpFunction = void (*)(void* const* lanes, std::uint32_t mask);
void warp_collective(std::uint32_t mask, WarpFunction function, void* mine, bool orders_memory, Site);
using GroupFunction = void (*)(void* const* lanes);
void warpgroup_collective(GroupFunction function, void* mine, Site);

enum class Shuffle { index, up, down, exclusive_or };
std::uint64_t shuffle(std::uint32_t mask, Shuffle, std::uint64_t value, int lane, int width, Site);
std::uint32_t ballot(std::uint32_t mask, bool predicate, Site);
std::uint32_t match_any(std::uint32_t mask, std::uint64_t value, Site);
enum class Reduction { add, max, min };
std::uint32_t reduce(std::uint32_t mask, Reduction, std::uint32_t value, Site);

// Shared memory of the running block: dynamic part first, then each static array as it is first reached.
unsigned char* dynamic_shared();
void* static_shared(const void* key, std::size_t bytes, std::size_t alignment);
std::uint32_t shared_address(const void* p);  // in the 32-bit shared window, as on the device
unsigned char* shared_pointer(std::uint32_t address);

/// The array behind CLX_SHARED. `Tag` is a closure type, unique per declaration and instantiation.
template <class T, class Tag>
T& shared_array() {
  static const char key = 0;
  return *static_cast<T*>(static_shared(&key, sizeof(T), alignof(T) < 16 ? 16 : alignof(T)));
}

/// What every atomic does first: checks the address, tells the race detector, perhaps yields.
void before_atomic(const void* p, std::size_t bytes);

}  // namespace clx::emulator
