// Tensor cores and what feeds them: ldmatrix, mma, wgmma, mbarriers, TMA.
#include "kernels/cuda/emulator/block.h"
#include "kernels/cuda/emulator/instructions.h"
#include "kernels/cuda/emulator/ptx/reading.h"
#include "kernels/cuda/emulator/ptx/thread.h"

namespace clx::emulator::ptx {
namespace {

std::uint32_t address_of(const Thread& t, const Instruction& i) {
  return static_cast<std::uint32_t>(t.r[i.a] + static_cast<std::uint64_t>(i.value));
}

template <bool kTranspose>
void load_matrices(Thread& t, const Instruction& i) {
  std::uint32_t r[4];
  ldmatrix_x4(r, shared_pointer(address_of(t, i)), kTranspose, site_of(t, i));
  for (std::uint32_t k = 0; k < 4; ++k)
    write(t, t.function->lists[i.list + k], r[k]);
}

// Lists: d, then a, b and c.
template <void (*kMultiply)(float*, const std::uint32_t*, const std::uint32_t*, Site)>
void multiply(Thread& t, const Instruction& i) {
  const std::uint32_t* const id = &t.function->lists[i.list];
  std::uint32_t a[4], b[2];
  float d[4];
  for (int k = 0; k < 4; ++k) {
    a[k] = read<std::uint32_t>(t, id[4 + k]);
    d[k] = read<float>(t, id[10 + k]);
  }
  for (int k = 0; k < 2; ++k)
    b[k] = read<std::uint32_t>(t, id[8 + k]);
  kMultiply(d, a, b, site_of(t, i));
  for (int k = 0; k < 4; ++k)
    write(t, id[k], d[k]);
}

void decode_ldmatrix(Reading& r) {
  if (!(r.take("sync") && r.take("aligned") && r.take("m8n8") && r.take("x4") && r.type() == Type::b16))
    return;
  if (!r.take("shared")) r.take("shared::cta");
  r.i.run = r.take("trans") ? load_matrices<true> : load_matrices<false>;
  r.define(r.operand(0));
  r.use_address(1);
}

void decode_mma(Reading& r) {
  if (!(r.take("sync") && r.take("aligned") && r.take("row") && r.take("col") && r.types.size() == 4)) return;
  if (r.types[0] != Type::f32 || r.types[3] != Type::f32 || r.types[1] != r.types[2]) return;
  if (r.types[1] == Type::bf16 && r.take("m16n8k16")) r.i.run = multiply<mma_m16n8k16_bf16>;
  if (r.types[1] == Type::tf32 && r.take("m16n8k8")) r.i.run = multiply<mma_m16n8k8_tf32>;
  if (!r.i.run) return;
  r.define(r.operand(0));
  for (std::size_t k = 1; k < 4; ++k)
    r.use(r.operand(k));
  if (r.i.defs != 4 || r.i.uses != 10) r.unknown();
}

// ------------------------------------------------------------------------------------------ wgmma

// While a wgmma is in flight its registers hold NaNs that name the element, wherever moves take them.
constexpr std::uint32_t kTag = 0xfffe0000u, kTagMask = 0xffff0000u, kNotYet = 0xffffffffu;

std::uint32_t tag_of(std::size_t slot, int element) {
  return kTag | static_cast<std::uint32_t>(slot) << 8 | static_cast<std::uint32_t>(element);
}

InFlight& accumulators_of(Thread& t, const std::uint32_t* ids, int count, const Instruction& i) {
  const auto first = read<std::uint32_t>(t, ids[0]);
  for (std::size_t slot = 0; slot < kMaxAccumulators; ++slot)
    if (t.in_flight[slot].used && first == tag_of(slot, 0)) return t.in_flight[slot];
  for (std::size_t slot = 0; slot < kMaxAccumulators; ++slot) {
    InFlight& x = t.in_flight[slot];
    if (x.used) continue;
    x.used = true;
    x.count = count;
    for (int k = 0; k < count; ++k)
      x.values[k] = read<float>(t, ids[k]);
    for (int k = 0; k < count; ++k)
      write<std::uint32_t>(t, ids[k], tag_of(slot, k));
    return x;
  }
  const Site at = site_of(t, i);
  fail("wgmma at %s:%u: more than %zu sets of accumulators in flight", at.file, at.line, kMaxAccumulators);
}

void resolve_tags(Thread& t) {
  for (std::size_t slot = 0; slot < kMaxAccumulators; ++slot) {
    InFlight& x = t.in_flight[slot];
    if (!x.used || std::bit_cast<std::uint32_t>(x.values[0]) == kNotYet) continue;
    x.used = false;
    for (std::uint32_t id = 0; id < t.function->registers; ++id) {
      const auto bits = read<std::uint32_t>(t, id);
      if ((bits & kTagMask) == kTag && (bits >> 8 & 255) == slot) write<float>(t, id, x.values[bits & 255]);
    }
  }
}

// detail: bit 0 transposes A, bit 1 B. Operands a, b and c: both descriptors and whether to accumulate.
void multiply_group(Thread& t, const Instruction& i) {
  const std::uint32_t* const ids = &t.function->lists[i.list];
  InFlight& x = accumulators_of(t, ids, i.defs, i);
  wgmma_bf16(x.values, 2 * i.defs, t.r[i.a], t.r[i.b], read<bool>(t, i.c), i.detail & 1, i.detail & 2,
             site_of(t, i));
  resolve_tags(t);
}

void fence_group(Thread& t, const Instruction& i) {
  wgmma_fence(site_of(t, i));
}

void commit_group(Thread& t, const Instruction& i) {
  wgmma_commit(site_of(t, i));
}

void wait_group(Thread& t, const Instruction& i) {
  wgmma_wait(static_cast<int>(i.value), site_of(t, i));
  resolve_tags(t);
}

void decode_wgmma(Reading& r) {
  if (r.take("mma_async")) {
    if (!(r.take("sync") && r.take("aligned") && r.types.size() == 3)) return;
    if (r.types[0] != Type::f32 || r.types[1] != Type::bf16 || r.types[2] != Type::bf16) return;
    const Operand& d = r.operand(0);
    if (!r.take("m64n" + std::to_string(2 * d.members.size()) + "k16")) return;
    if (r.literal(4) != 1 || r.literal(5) != 1) return;  // signs of A and B
    r.define(d);
    r.use(d);
    r.i.a = r.operand(1).id;
    r.i.b = r.operand(2).id;
    r.i.c = r.operand(3).id;
    r.i.detail = static_cast<std::uint8_t>((r.literal(6) ? 1 : 0) | (r.literal(7) ? 2 : 0));
    r.i.run = multiply_group;
    return;
  }
  if (r.take("fence")) r.i.run = fence_group;
  if (r.take("commit_group")) r.i.run = commit_group;
  if (r.take("wait_group")) {
    r.i.value = r.literal(0);
    r.i.run = wait_group;
  }
  if (!(r.take("sync") && r.take("aligned"))) r.unknown();
}

// ------------------------------------------------------------------------------------------ mbarriers, TMA

std::uint64_t* barrier_at(std::uint32_t address) {
  return reinterpret_cast<std::uint64_t*>(shared_pointer(address));
}

void init_barrier(Thread& t, const Instruction& i) {
  mbarrier_init(barrier_at(address_of(t, i)), read<std::uint32_t>(t, i.b), site_of(t, i));
}

void arrive_at_barrier(Thread& t, const Instruction& i) {
  const std::uint32_t bytes = i.b == kNone ? 0 : read<std::uint32_t>(t, i.b);
  mbarrier_arrive(barrier_at(address_of(t, i)), bytes, site_of(t, i));
}

// The loop around a try_wait ends at its first turn: the thread sleeps until the phase is over.
void wait_at_barrier(Thread& t, const Instruction& i) {
  mbarrier_wait(barrier_at(address_of(t, i)), read<std::uint32_t>(t, i.b), site_of(t, i));
  write<bool>(t, i.d, true);
}

void decode_mbarrier(Reading& r) {
  for (const auto part : {"shared::cta", "shared", "release", "acquire", "cta"})
    r.take(part);
  if (r.take("init")) {
    r.use_address(0);
    r.i.b = r.operand(1).id;
    r.i.run = init_barrier;
  } else if (r.take("arrive")) {
    r.use_address(1);
    if (r.take("expect_tx")) r.i.b = r.operand(2).id;
    r.i.run = arrive_at_barrier;
  } else if (r.take("try_wait") && r.take("parity")) {
    r.i.d = r.operand(0).id;
    r.use_address(1);
    r.i.b = r.operand(2).id;
    r.i.run = wait_at_barrier;
  }
}

// Lists: the coordinates.
void load_box(Thread& t, const Instruction& i) {
  const auto* const map =
      reinterpret_cast<const TensorMap*>(t.r[i.b] + static_cast<std::uint64_t>(i.second_offset));
  int at[TensorMap::kRank] = {};
  for (std::uint32_t d = 0; d < i.uses; ++d)
    at[d] = read<int>(t, t.function->lists[i.list + d]);
  tma_load(shared_pointer(address_of(t, i)), *map, at, barrier_at(read<std::uint32_t>(t, i.c)),
           site_of(t, i));
}

void decode_bulk_copy(Reading& r) {
  for (const auto part :
       {"async", "bulk", "tensor", "shared::cluster", "global", "mbarrier::complete_tx::bytes"})
    if (!r.take(part)) r.unknown();
  const std::size_t rank = r.take("2d") ? 2 : r.take("4d") ? 4 : 0;
  r.use_address(0);
  const Operand& map = r.operand(1);
  if (map.members.size() != rank || r.operand(2).number != 0) r.unknown();
  r.i.b = map.id;
  r.i.second_offset = map.number;
  r.use(map);
  r.i.c = r.operand(2).id;
  r.i.run = load_box;
}

}  // namespace

void decode_matrix(Reading& r) {
  const auto base = r.base();
  if (base == "ldmatrix") decode_ldmatrix(r);
  if (base == "mma") decode_mma(r);
  if (base == "wgmma") decode_wgmma(r);
  if (base == "mbarrier") decode_mbarrier(r);
  if (base == "cp") decode_bulk_copy(r);
}

}  // namespace clx::emulator::ptx
