// The one source of CPU threads: work is cut into chunks that do not depend on the number of threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <type_traits>

#include "kernels/threads.h"

namespace clx::kernels {

using ChunkFunction = void (*)(void* data, std::int64_t chunk);

/// parallel_for without its template; see there.
void run_chunks(std::int64_t chunks, ChunkFunction f, void* data);

/// Calls f(i) for i in [0, chunks), on several threads, in no order; returns when all are done. Chunks
/// write disjoint memory; sums go to one place per chunk and are combined by the caller in chunk
/// order, so that the number of threads changes no bit. A call from within a chunk, and one while
/// another thread's chunks run on the same team (kernels/threads.h), is done by the calling thread alone.
/// Throws: what f threw, from the lowest chunk that threw; later chunks may then not have run.
template <class F>
void parallel_for(std::int64_t chunks, F&& f) {
  using Callable = std::remove_reference_t<F>;
  run_chunks(
      chunks, [](void* data, std::int64_t chunk) { (*static_cast<Callable*>(data))(chunk); },
      const_cast<void*>(static_cast<const void*>(std::addressof(f))));
}

/// Calls f(begin, end) for [0, n) cut into ranges of `grain` (the last may be shorter).
template <class F>
void parallel_ranges(std::int64_t n, std::int64_t grain, F&& f) {
  parallel_for((n + grain - 1) / grain,
               [&](std::int64_t chunk) { f(chunk * grain, std::min(n, (chunk + 1) * grain)); });
}

/// At most how many threads a parallel_for called here would use: threads(), or 1 within a chunk.
int team_size();

/// Within a chunk: which of the team's threads this is, 0 … team_size() − 1 of the call; for scratch
/// memory that chunks of one thread share.
int team_slot();

/// Makes oneDNN run on the calling thread alone: our chunks are its only parallelism. To be called
/// before each use, since OpenMP keeps its number of threads per thread.
void keep_onednn_on_this_thread();

}  // namespace clx::kernels
