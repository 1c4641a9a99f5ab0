// How the emulator schedules: which thread runs next and when asynchronous copies happen.
#pragma once

#include <cstddef>
#include <cstdint>

namespace clx::emulator {

/// Which of the runnable threads runs next. `random` draws one of three policies per block: uniform, or
/// random priorities per warp or per thread, under which a thread falls behind as far as barriers allow.
enum class Order { forward, reverse, random };

/// When an asynchronous copy happens: at the wait (finds missing waits), at its issue (finds buffers
/// that are overwritten too soon), or somewhere between.
enum class Async { late, early, random };

/// What is executed: the kernels as g++ compiled them, or the PTX that nvcc made of them for a GPU.
enum class Layer { source, sm_80, sm_90a };

/// Read from the environment at the first launch: CLX_EMU_LAYER=source|sm_80|sm_90a,
/// CLX_EMU_ORDER=fwd|rev|rand, CLX_EMU_ASYNC=late|early|rand, CLX_EMU_SEED=n, CLX_EMU_WORKERS=n,
/// CLX_EMU_PREEMPT=n, CLX_EMU_MATH=exact|rough.
struct Config {
  Layer layer = Layer::source;
  Order order = Order::forward;
  Async async = Async::late;
  std::uint64_t seed = 1;
  int workers = 1;     // host threads over blocks; the race detector uses one
  int preempt = 0;     // race build: yields at about one in `preempt` memory accesses; 0 = never
  bool rough = false;  // tensor cores and 2^x of the PTX compute no better than a GPU's (rough.h)
};

/// The configuration of the launches to come. A launch that runs meanwhile keeps its own copy.
Config config();
void set_config(const Config&);

/// Whether this build sees every load and store of the kernels (CLX_RACE).
bool detects_races();

}  // namespace clx::emulator
