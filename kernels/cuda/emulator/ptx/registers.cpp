// PTX names a new register for almost every value, ten thousand in a large kernel. The places they need at
// the same time are found by liveness over the control-flow graph and handed out in one linear scan. Source:
// Poletto, Sarkar, "Linear scan register allocation", TOPLAS 1999.
#include <algorithm>
#include <queue>

#include "kernels/cuda/emulator/ptx/decode.h"
#include "kernels/cuda/emulator/ptx/program.h"

namespace clx::emulator::ptx {
namespace {

struct Block {
  std::size_t begin, end;
  std::vector<std::size_t> next;
};

using Bits = std::vector<std::uint64_t>;
void set(Bits& bits, std::uint32_t i) {
  bits[i / 64] |= 1ull << i % 64;
}
void clear(Bits& bits, std::uint32_t i) {
  bits[i / 64] &= ~(1ull << i % 64);
}
bool is_set(const Bits& bits, std::uint32_t i) {
  return bits[i / 64] >> i % 64 & 1;
}

bool is_register(std::uint32_t id) {
  return id != kNone && !(id & kConstant);
}

template <class F>
void for_uses(const Function& f, const Instruction& i, F use) {
  for (const auto id : {i.a, i.b, i.c, i.guard})
    if (is_register(id)) use(id);
  for (std::size_t k = i.defs; k < std::size_t(i.defs) + i.uses; ++k)
    if (is_register(f.lists[i.list + k])) use(f.lists[i.list + k]);
}

template <class F>
void for_defs(const Function& f, const Instruction& i, F define) {
  if (is_register(i.d)) define(i.d);
  for (std::size_t k = 0; k < i.defs; ++k)
    if (is_register(f.lists[i.list + k])) define(f.lists[i.list + k]);
}

std::vector<Block> blocks_of(const Function& f) {
  std::vector<char> leads(f.code.size() + 1, 0);
  leads[0] = leads[f.code.size()] = 1;
  for (std::size_t i = 0; i < f.code.size(); ++i)
    if (is_branch(f.code[i]) || leaves(f.code[i])) {
      if (is_branch(f.code[i])) leads[static_cast<std::size_t>(f.code[i].value)] = 1;
      leads[i + 1] = 1;
    }
  std::vector<Block> blocks;
  std::vector<std::size_t> block_at(f.code.size() + 1, 0);
  for (std::size_t i = 0; i < f.code.size(); ++i) {
    if (leads[i]) blocks.push_back({i, i, {}});
    block_at[i] = blocks.size() - 1;
    blocks.back().end = i + 1;
  }
  for (auto& block : blocks) {
    const Instruction& last = f.code[block.end - 1];
    if (is_branch(last)) block.next.push_back(block_at[static_cast<std::size_t>(last.value)]);
    const bool falls_through = !(is_branch(last) || leaves(last)) || last.guard != kNone;
    if (falls_through && block.end < f.code.size()) block.next.push_back(block_at[block.end]);
  }
  return blocks;
}

struct Life {
  std::int64_t begin = -1, end = -1;
  void cover(std::int64_t at) {
    begin = begin < 0 ? at : std::min(begin, at);
    end = std::max(end, at);
  }
};

// Position 2·i is where instruction i reads, 2·i + 1 where it writes.
std::vector<Life> lives_of(const Function& f) {
  const auto blocks = blocks_of(f);
  const std::size_t words = (f.registers + 63) / 64;
  std::vector<Bits> in(blocks.size(), Bits(words, 0)), out = in;
  for (bool changed = true; changed;) {
    changed = false;
    for (std::size_t k = blocks.size(); k-- > 0;) {
      Bits live(words, 0);
      for (const auto next : blocks[k].next)
        for (std::size_t w = 0; w < words; ++w)
          live[w] |= in[next][w];
      out[k] = live;
      for (std::size_t i = blocks[k].end; i-- > blocks[k].begin;) {
        // What is written under a guard may keep its former value.
        if (f.code[i].guard == kNone) for_defs(f, f.code[i], [&](std::uint32_t id) { clear(live, id); });
        for_uses(f, f.code[i], [&](std::uint32_t id) { set(live, id); });
      }
      changed = changed || live != in[k];
      in[k] = std::move(live);
    }
  }
  std::vector<Life> lives(f.registers);
  for (std::size_t k = 0; k < blocks.size(); ++k) {
    for (std::uint32_t id = 0; id < f.registers; ++id) {
      if (is_set(in[k], id)) lives[id].cover(2 * static_cast<std::int64_t>(blocks[k].begin));
      if (is_set(out[k], id)) lives[id].cover(2 * static_cast<std::int64_t>(blocks[k].end) - 1);
    }
    for (std::size_t i = blocks[k].begin; i < blocks[k].end; ++i) {
      for_uses(f, f.code[i], [&](std::uint32_t id) { lives[id].cover(2 * static_cast<std::int64_t>(i)); });
      for_defs(f, f.code[i],
               [&](std::uint32_t id) { lives[id].cover(2 * static_cast<std::int64_t>(i) + 1); });
    }
  }
  return lives;
}

}  // namespace

void share_registers(Function& f) {
  const auto lives = lives_of(f);
  std::vector<std::uint32_t> order, place(f.registers, 0);
  for (std::uint32_t id = 0; id < f.registers; ++id)
    if (lives[id].begin >= 0) order.push_back(id);
  std::sort(order.begin(), order.end(), [&](auto a, auto b) { return lives[a].begin < lives[b].begin; });

  using Ending = std::pair<std::int64_t, std::uint32_t>;  // when a place becomes free
  std::priority_queue<Ending, std::vector<Ending>, std::greater<>> busy;
  std::priority_queue<std::uint32_t, std::vector<std::uint32_t>, std::greater<>> free;
  std::uint32_t places = 0;
  for (const auto id : order) {
    for (; !busy.empty() && busy.top().first < lives[id].begin; busy.pop())
      free.push(busy.top().second);
    if (free.empty()) {
      place[id] = places++;
    } else {
      place[id] = free.top();
      free.pop();
    }
    busy.push({lives[id].end, place[id]});
  }

  const auto renumber = [&](std::uint32_t& id) {
    if (id == kNone) return;
    id = id & kConstant ? places + (id & ~kConstant) : place[id];
  };
  for (auto& i : f.code)
    for (auto* id : {&i.d, &i.a, &i.b, &i.c, &i.guard})
      renumber(*id);
  for (auto& id : f.lists)
    renumber(id);
  f.registers = places;
}

}  // namespace clx::emulator::ptx
