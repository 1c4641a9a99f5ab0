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
  int at[TensorMap::kRank];
  std::uint64_t* barrier;
  std::vector<std::uint32_t> clock;
  const void* pc;
  Site site;

  std::uint32_t row_bytes() const { return map.box[0] * map.element_bytes; }
  std::uint32_t rows() const { return map.box[1] * map.box[2] * map.box[3]; }
  std::uint32_t bytes() const { return row_bytes() * rows(); }

  /// Row r of the box in global memory; null outside the tensor.
  const unsigned char* row(std::uint32_t r) const {
    const unsigned char* p = map.base;
    for (int d = 1; d < TensorMap::kRank; r /= map.box[d++]) {
      const std::int64_t x = at[d] + std::int64_t(r % map.box[d]) * map.steps[d];
      if (x < 0 || x >= std::int64_t(map.sizes[d])) return nullptr;
      p += std::uint64_t(x) * map.strides[d];
    }
    return p;
  }

  void load_chunk(std::uint32_t r, std::uint32_t offset) {
    unsigned char* const chunk = shared_pointer(swizzled(to + r * row_bytes() + offset, map.swizzle));
    const unsigned char* const first = row(r);
    for (std::uint32_t i = 0; i < 16; i += map.element_bytes) {
      const std::int64_t x = at[0] + std::int64_t((offset + i) / map.element_bytes);
      if (first == nullptr || x < 0 || x >= std::int64_t(map.sizes[0])) {
        std::memset(chunk + i, 0, map.element_bytes);
        continue;
      }
      const unsigned char* from = first + std::uint64_t(x) * map.element_bytes;
      race::engine_access(from, map.element_bytes, false, clock, pc);
      std::memcpy(chunk + i, from, map.element_bytes);
    }
    race::engine_access(chunk, 16, true, clock, pc);
  }

  void operator()() {
    for (std::uint32_t r = 0; r < rows(); ++r)
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

TensorMap checked(const TensorMap& map) {
  if (reinterpret_cast<std::uintptr_t>(map.base) % 16) fail("tensor map: base is not a multiple of 16 bytes");
  for (int d = 0; d < TensorMap::kRank; ++d) {
    if (d > 0 && (map.strides[d] % 16 || map.strides[d] >> 40))
      fail("tensor map: a stride of %llu bytes", static_cast<unsigned long long>(map.strides[d]));
    // CUDA takes the extent that a box covers before every step-th element is chosen.
    const std::uint64_t extent = std::uint64_t(map.box[d]) * map.steps[d];
    if (map.sizes[d] == 0 || map.sizes[d] >> 32 || extent == 0 || extent > 256 || map.steps[d] > 8)
      fail("tensor map: %llu elements with a box of %u, step %u",
           static_cast<unsigned long long>(map.sizes[d]), map.box[d], map.steps[d]);
  }
  const std::uint32_t inner = map.box[0] * map.element_bytes;
  if (inner % 16 || (map.swizzle && inner > swizzle_bytes(map.swizzle)))
    fail("tensor map: box rows of %u bytes with a swizzle of %u", inner, swizzle_bytes(map.swizzle));
  return map;
}

void tma_load(
    void* to, const TensorMap& map, const int (&at)[TensorMap::kRank], std::uint64_t* barrier, Site site) {
  Load load{map, shared_address(to), {at[0], at[1], at[2], at[3]}, barrier, {}, __builtin_return_address(0),
            site};
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
