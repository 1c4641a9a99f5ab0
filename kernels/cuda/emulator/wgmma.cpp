// wgmma with both operands in shared memory, found through descriptors. Between issue and wait the
// accumulators are set aside and the registers hold NaN, so that reading them too early shows.
#include <algorithm>
#include <bit>
#include <cstring>

#include "kernels/cuda/emulator/block.h"
#include "kernels/cuda/emulator/instructions.h"
#include "kernels/cuda/emulator/race.h"
#include "kernels/cuda/emulator/rough.h"
#include "kernels/cuda/emulator/swizzle.h"

namespace clx::emulator {
namespace {

constexpr int kRows = 64, kDepth = 16, kThreads = 128;

struct Descriptor {
  std::uint32_t base, leading, stride, swizzle;
  explicit Descriptor(std::uint64_t bits)
      : base(field(bits)),
        leading(field(bits >> 16)),
        stride(field(bits >> 32)),
        swizzle(static_cast<std::uint32_t>(bits >> 62)) {}
  static std::uint32_t field(std::uint64_t bits) { return static_cast<std::uint32_t>(bits & 0x3FFF) << 4; }
};

/// The address of element (mn, k) of a bf16 operand.
/// Source: PTX ISA, canonical layouts of wgmma.
std::uint32_t element_address(const Descriptor& d, bool mn_major, std::uint32_t mn, std::uint32_t k) {
  std::uint32_t address = d.base;
  const std::uint32_t pitch = swizzle_bytes(d.swizzle);
  if (!mn_major && pitch)
    address += (mn % 8) * pitch + (mn / 8) * d.stride + k * 2;
  else if (!mn_major)
    address += (mn % 8) * 16 + (mn / 8) * d.stride + (k / 8) * d.leading + (k % 8) * 2;
  else if (pitch)
    address += (mn % (pitch / 2)) * 2 + (mn / (pitch / 2)) * d.leading + (k % 8) * pitch + (k / 8) * d.stride;
  else
    address += (mn % 8) * 2 + (mn / 8) * d.stride + (k % 8) * 16 + (k / 8) * d.leading;
  return swizzled(address, d.swizzle);
}

float load(const Wgmma& op, const Descriptor& d, bool mn_major, int mn, int k) {
  const unsigned char* const p = shared_pointer(
      element_address(d, mn_major, static_cast<std::uint32_t>(mn), static_cast<std::uint32_t>(k)));
  require_shared(p, 2, "wgmma operand", op.site);
  race::deferred_access(p, 2, false, true, op.lead, op.issued, op.pc);
  std::uint16_t bits = 0;
  std::memcpy(&bits, p, sizeof bits);
  return std::bit_cast<float>(std::uint32_t(bits) << 16);
}

void execute(const Wgmma& op) {
  const Descriptor da(op.a), db(op.b);
  float a[kRows][kDepth], b[kDepth][256];
  for (int m = 0; m < kRows; ++m)
    for (int k = 0; k < kDepth; ++k)
      a[m][k] = load(op, da, op.transpose_a, m, k);
  for (int n = 0; n < op.n; ++n)
    for (int k = 0; k < kDepth; ++k)
      b[k][n] = load(op, db, op.transpose_b, n, k);
  for (int m = 0; m < kRows; ++m)
    for (int n = 0; n < op.n; ++n) {
      const int thread = m / 16 * 32 + m % 8 * 4 + n % 8 / 2;
      const int index = n / 8 * 4 + m % 16 / 8 * 2 + n % 2;
      float& d = op.accumulators->values[static_cast<std::size_t>(thread * (op.n / 2) + index)];
      float sum = op.accumulate ? d : 0.0f;
      for (int k = 0; k < kDepth && !worker->config.rough; ++k)
        sum += a[m][k] * b[k][n];
      d = worker->config.rough ? rough_sum(sum, a[m], &b[0][n], kDepth, 256) : sum;
    }
}

struct LaneArgument {
  float* d = nullptr;
  int n = 0, pending = 0, group = 0;
  Wgmma op;
};

WarpGroup& group_of(const LaneArgument& x) {
  return worker->warp_groups[x.group];
}

Accumulators* set_aside(WarpGroup& g, void* const* lanes, int n) {
  float* const first = static_cast<LaneArgument*>(lanes[0])->d;
  for (auto& a : g.accumulators)
    if (a->registers[0] == first) {
      ++a->users;
      return a.get();
    }
  auto a = std::make_unique<Accumulators>();
  a->users = 1;
  a->n = n;
  for (int t = 0; t < kThreads; ++t) {
    a->registers[t] = static_cast<LaneArgument*>(lanes[t])->d;
    for (int i = 0; i < n / 2; ++i) {
      a->values.push_back(a->registers[t][i]);
      a->registers[t][i] = std::bit_cast<float>(0xFFFFFFFFu);
    }
  }
  g.accumulators.push_back(std::move(a));
  return g.accumulators.back().get();
}

void give_back(WarpGroup& g, Accumulators* a) {
  if (--a->users > 0) return;
  const auto per_thread = static_cast<std::size_t>(a->n / 2);
  for (std::size_t t = 0; t < kThreads; ++t)
    std::memcpy(a->registers[t], &a->values[t * per_thread], per_thread * sizeof(float));
  std::erase_if(g.accumulators, [a](const auto& x) { return x.get() == a; });
}

void issue(void* const* lanes) {
  auto& x = *static_cast<LaneArgument*>(lanes[0]);
  for (int t = 1; t < kThreads; ++t) {
    const Wgmma& y = static_cast<LaneArgument*>(lanes[t])->op;
    if (y.a != x.op.a || y.b != x.op.b || y.accumulate != x.op.accumulate)
      fail("wgmma at %s:%u: descriptors differ within the warpgroup", x.op.site.file, x.op.site.line);
  }
  x.op.issued = race::issue_clock();
  x.op.accumulators = set_aside(group_of(x), lanes, x.n);
  group_of(x).issued.push_back(x.op);
}

void complete(WarpGroup& g, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    execute(g.issued[i]);
    give_back(g, g.issued[i].accumulators);
  }
  g.issued.erase(g.issued.begin(), g.issued.begin() + static_cast<std::ptrdiff_t>(count));
  for (auto& end : g.groups)
    end -= std::min(end, count);
}

void issue_and_complete(void* const* lanes) {
  issue(lanes);
  complete(group_of(*static_cast<LaneArgument*>(lanes[0])), 1);
}

void commit(void* const* lanes) {
  WarpGroup& g = group_of(*static_cast<LaneArgument*>(lanes[0]));
  g.groups.push_back(g.issued.size());
}

void wait(void* const* lanes) {
  const auto& x = *static_cast<LaneArgument*>(lanes[0]);
  WarpGroup& g = group_of(x);
  if (static_cast<int>(g.groups.size()) <= x.pending) return;
  const std::size_t finished = g.groups.size() - static_cast<std::size_t>(x.pending);
  const std::size_t end = g.groups[finished - 1];
  g.groups.erase(g.groups.begin(), g.groups.begin() + static_cast<std::ptrdiff_t>(finished));
  complete(g, end);
}

LaneArgument argument() {
  LaneArgument x;
  x.group = current->linear / kThreads;
  return x;
}

}  // namespace

void wgmma_fence(Site site) {
  LaneArgument x = argument();
  warpgroup_collective([](void* const*) {}, &x, site);
}

void wgmma_commit(Site site) {
  LaneArgument x = argument();
  warpgroup_collective(commit, &x, site);
}

void wgmma_wait(int pending, Site site) {
  LaneArgument x = argument();
  x.pending = pending;
  warpgroup_collective(wait, &x, site);
}

void wgmma_bf16(float* d,
                int n,
                std::uint64_t a,
                std::uint64_t b,
                bool accumulate,
                bool transpose_a,
                bool transpose_b,
                Site site) {
  LaneArgument x = argument();
  x.d = d;
  x.n = n;
  x.op.a = a;
  x.op.b = b;
  x.op.n = n;
  x.op.lead = current->linear;
  x.op.accumulate = accumulate;
  x.op.transpose_a = transpose_a;
  x.op.transpose_b = transpose_b;
  x.op.site = site;
  x.op.pc = __builtin_return_address(0);
  const bool now = worker->config.async == Async::early;
  warpgroup_collective(now ? issue_and_complete : issue, &x, site);
}

}  // namespace clx::emulator
