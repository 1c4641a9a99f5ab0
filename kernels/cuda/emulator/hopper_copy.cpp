// mbarriers and TMA loads. The state of an mbarrier is kept beside shared memory, keyed by its address.
#include <algorithm>
#include <cstring>

#include "kernels/cuda/emulator/block.h"
#include "kernels/cuda/emulator/instructions.h"
#include "kernels/cuda/emulator/race.h"
#include "kernels/cuda/emulator/swizzle.h"

namespace clx::emulator {
namespace {

Mbarrier& find(const std::uint64_t* barrier, const char* what, Site site) {
  const auto it = worker->mbarriers.find(shared_address(barrier));
  if (it == worker->mbarriers.end())
    fail("%s at %s:%u: the mbarrier at %p was not initialised", what, site.file, site.line,
         static_cast<const void*>(barrier));
  return it->second;
}

void end_phase_if_complete(Mbarrier& m) {
  if (m.pending != 0 || m.bytes != 0) return;
  ++m.phase;
  m.pending = m.count;
  for (const auto thread : m.waiting)
    make_ready(thread);
  m.waiting.clear();
}

std::uint32_t required_alignment(std::uint32_t swizzle) {
  constexpr std::uint32_t kAlignments[] = {128, 1024, 512, 256};
  return kAlignments[swizzle];
}

/// One load in flight.
struct Load {
  TensorMap map;
  std::uint32_t to;
  int col, row;
  std::uint64_t* barrier;
  std::vector<std::uint32_t> clock;
  const void* pc;
  Site site;

  std::uint32_t row_bytes() const { return map.box_cols * map.element_bytes; }
  std::uint32_t bytes() const { return row_bytes() * map.box_rows; }

  void load_chunk(std::uint32_t r, std::uint32_t offset) {
    unsigned char* const chunk = shared_pointer(swizzled(to + r * row_bytes() + offset, map.swizzle));
    const std::int64_t y = row + std::int64_t(r);
    for (std::uint32_t i = 0; i < 16; i += map.element_bytes) {
      const std::int64_t x = col + std::int64_t((offset + i) / map.element_bytes);
      const bool inside = y >= 0 && y < std::int64_t(map.rows) && x >= 0 && x < std::int64_t(map.cols);
      if (!inside) {
        std::memset(chunk + i, 0, map.element_bytes);
        continue;
      }
      const unsigned char* from =
          map.base + std::uint64_t(y) * map.row_bytes + std::uint64_t(x) * map.element_bytes;
      race::engine_access(from, map.element_bytes, false, clock, pc);
      std::memcpy(chunk + i, from, map.element_bytes);
    }
    race::engine_access(chunk, 16, true, clock, pc);
  }

  void operator()() {
    for (std::uint32_t r = 0; r < map.box_rows; ++r)
      for (std::uint32_t offset = 0; offset < row_bytes(); offset += 16)
        load_chunk(r, offset);
    Mbarrier& m = find(barrier, "TMA load", site);
    m.bytes -= bytes();
    if (m.clock.size() < clock.size()) m.clock.resize(clock.size());
    for (std::size_t i = 0; i < clock.size(); ++i)
      m.clock[i] = std::max(m.clock[i], clock[i]);
    end_phase_if_complete(m);
  }
};

}  // namespace

void mbarrier_init(std::uint64_t* barrier, std::uint32_t count, Site site) {
  require_shared(barrier, sizeof *barrier, "mbarrier.init", site);
  if (count == 0 || count >= (1u << 20))
    fail("mbarrier.init at %s:%u: count %u is not in 1 … 2^20 - 1", site.file, site.line, count);
  *barrier = 0;
  Mbarrier m;
  m.count = m.pending = count;
  worker->mbarriers[shared_address(barrier)] = m;
}

void mbarrier_arrive(std::uint64_t* barrier, std::uint32_t expected_bytes, Site site) {
  Mbarrier& m = find(barrier, "mbarrier.arrive", site);
  if (m.pending == 0)
    fail("mbarrier.arrive at %s:%u: more arrivals than its count of %u in one phase", site.file, site.line,
         m.count);
  race::release(m.clock);
  m.bytes += expected_bytes;
  --m.pending;
  end_phase_if_complete(m);
}

void mbarrier_wait(std::uint64_t* barrier, std::uint32_t parity, Site site) {
  for (;;) {
    Mbarrier& m = find(barrier, "mbarrier.wait", site);
    if ((m.phase & 1) != (parity & 1)) {
      race::acquire(m.clock);
      return;
    }
    m.waiting.push_back(static_cast<std::uint16_t>(current->linear));
    wait_for("mbarrier wait", site);
  }
}

void fence_proxy_async() {
  race::proxy_fence();
}

TensorMap make_tensor_map(void* base,
                          std::uint64_t rows,
                          std::uint64_t cols,
                          std::uint64_t row_bytes,
                          std::uint32_t box_rows,
                          std::uint32_t box_cols,
                          std::uint32_t swizzle) {
  TensorMap map;
  map.base = static_cast<unsigned char*>(base);
  map.rows = rows;
  map.cols = cols;
  map.row_bytes = row_bytes;
  map.box_rows = box_rows;
  map.box_cols = box_cols;
  map.element_bytes = 2;
  map.swizzle = swizzle;
  if (reinterpret_cast<std::uintptr_t>(base) % 16 || row_bytes % 16)
    fail("tensor map: base or row pitch is not a multiple of 16 bytes");
  if (rows == 0 || cols == 0 || box_rows == 0 || box_cols == 0 || box_rows > 256 || box_cols > 256)
    fail("tensor map: matrix (%llu,%llu) with a box of (%u,%u)", static_cast<unsigned long long>(rows),
         static_cast<unsigned long long>(cols), box_rows, box_cols);
  const std::uint32_t inner = box_cols * map.element_bytes;
  if (inner % 16 || (swizzle && inner > swizzle_bytes(swizzle)))
    fail("tensor map: box rows of %u bytes with a swizzle of %u", inner, swizzle_bytes(swizzle));
  return map;
}

void tma_load_2d(void* to, const TensorMap& map, int col, int row, std::uint64_t* barrier, Site site) {
  Load load{map, shared_address(to), col, row, barrier, {}, __builtin_return_address(0), site};
  require_shared(to, load.bytes(), "TMA load", site);
  if (load.to % required_alignment(map.swizzle))
    fail("TMA load at %s:%u: destination %#x is not aligned to %u bytes", site.file, site.line, load.to,
         required_alignment(map.swizzle));
  find(barrier, "TMA load", site);
  load.clock = race::engine_clock();
  const Async when = worker->config.async;
  if (when == Async::early || (when == Async::random && random_word(*worker) % 3 == 0))
    load();
  else
    worker->async.push_back(std::move(load));
}

}  // namespace clx::emulator
