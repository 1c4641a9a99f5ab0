// One thread that executes PTX, and how its handlers see registers and memory.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/cuda/emulator/ptx/program.h"
#include "kernels/cuda/emulator/thread.h"

namespace clx::emulator::ptx {

constexpr std::size_t kMaxAccumulators = 4;

/// The accumulators of a wgmma in flight. The registers hold tags meanwhile: NaNs that name the element.
struct InFlight {
  bool used = false;
  int count = 0;
  float values[128];
};

struct Thread {
  std::uint64_t* r = nullptr;
  const Instruction* pc = nullptr;
  const Function* function = nullptr;
  const unsigned char* parameters = nullptr;
  unsigned char* local = nullptr;
  bool done = false;
  InFlight* in_flight = nullptr;
};

/// A value is read as its instruction's type, whatever the register's upper bits hold.
template <class T>
T read(const Thread& t, std::uint32_t id) {
  if constexpr (std::is_same_v<T, float>)
    return std::bit_cast<float>(static_cast<std::uint32_t>(t.r[id]));
  else if constexpr (std::is_same_v<T, double>)
    return std::bit_cast<double>(t.r[id]);
  else
    return static_cast<T>(t.r[id]);
}

template <class T>
void write(Thread& t, std::uint32_t id, T value) {
  if constexpr (std::is_same_v<T, float>)
    t.r[id] = std::bit_cast<std::uint32_t>(value);
  else if constexpr (std::is_same_v<T, double>)
    t.r[id] = std::bit_cast<std::uint64_t>(value);
  else
    t.r[id] = static_cast<std::uint64_t>(value);
}

inline Site site_of(const Thread& t, const Instruction& i) {
  const Place& place = t.function->places[i.place];
  Site site;
  site.file = place.file;
  site.line = place.line;
  site.column = i.line;
  return site;
}

enum class Space : std::uint8_t { generic, global, shared, local, parameter };

/// The host address behind an address of PTX. Fails where `bytes` bytes from there are misaligned or not
/// memory of the thread: outside every allocation, shared array, local array or the parameters.
template <Space kSpace>
unsigned char* memory_at(
    const Thread&, const Instruction&, std::uint64_t address, std::size_t bytes, bool write);

extern template unsigned char* memory_at<Space::generic>(
    const Thread&, const Instruction&, std::uint64_t, std::size_t, bool);
extern template unsigned char* memory_at<Space::global>(
    const Thread&, const Instruction&, std::uint64_t, std::size_t, bool);
extern template unsigned char* memory_at<Space::shared>(
    const Thread&, const Instruction&, std::uint64_t, std::size_t, bool);
extern template unsigned char* memory_at<Space::local>(
    const Thread&, const Instruction&, std::uint64_t, std::size_t, bool);
extern template unsigned char* memory_at<Space::parameter>(
    const Thread&, const Instruction&, std::uint64_t, std::size_t, bool);

}  // namespace clx::emulator::ptx
