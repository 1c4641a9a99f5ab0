// A map is one thread's: a radix sort of (value, pixel), three passes of 11 bits from the lowest.
#include "kernels/rank.h"

#include <bit>
#include <cstddef>
#include <utility>

#include "kernels/cpu/parallel.h"
#include "kernels/rank_key.h"

namespace clx::kernels {
namespace {

constexpr int kDigitBits = 11, kDigits = 3, kBuckets = 1 << kDigitBits;

struct Ranked {
  std::uint32_t key;
  std::int32_t pixel;
};

int digit(std::uint32_t key, int which) {
  return static_cast<int>(key >> (which * kDigitBits)) & (kBuckets - 1);
}

// From the number of keys in each bucket to the place of the first; false if all are in one.
bool starts_of(std::int32_t* buckets, std::int32_t count) {
  std::int32_t start = 0;
  bool spread = true;
  for (int b = 0; b < kBuckets; ++b) {
    spread = spread && buckets[b] != count;
    start += std::exchange(buckets[b], start);
  }
  return spread;
}

// The pixels in the order of their ranks; `from` and `to` are scratch, one of which is returned.
const Ranked* sort_map(const RankShape& s, const float* map, Ranked* from, Ranked* to) {
  std::int32_t buckets[kDigits][kBuckets] = {};
  for (int p = 0; p < s.pixels; ++p) {
    from[p] = {rank_key(std::bit_cast<std::uint32_t>(map[p]), s.magnitude), p};
    for (int which = 0; which < kDigits; ++which)
      ++buckets[which][digit(from[p].key, which)];
  }
  for (int which = 0; which < kDigits; ++which) {
    std::int32_t* start = buckets[which];
    if (!starts_of(start, s.pixels)) continue;
    for (int p = 0; p < s.pixels; ++p)
      to[start[digit(from[p].key, which)]++] = from[p];
    std::swap(from, to);
  }
  return from;
}

// Among the equal values of `count` pixels at places first, first + 1, …, plane goes before pixel.
void write_planes(const Ranked* sorted, int first, int count, int channels, std::int32_t* ranks) {
  for (int i = 0; i < count; ++i)
    for (int c = 0; c < channels; ++c)
      ranks[static_cast<std::ptrdiff_t>(sorted[first + i].pixel) * channels + c] =
          channels * first + c * count + i;
}

}  // namespace

void rank_maps(const Cpu& backend, const RankShape& s, const float* maps, std::int32_t* ranks) {
  const auto pixels = static_cast<std::size_t>(s.pixels);
  auto* memory = static_cast<Ranked*>(
      backend.workspace(2 * static_cast<std::size_t>(team_size()) * pixels * sizeof(Ranked)));
  parallel_for(s.N, [&](std::int64_t n) {
    Ranked* own = memory + 2 * static_cast<std::size_t>(team_slot()) * pixels;
    const Ranked* sorted = sort_map(s, maps + n * s.pixels, own, own + pixels);
    std::int32_t* to = ranks + n * s.pixels * s.channels;
    for (int first = 0, end = 1; first < s.pixels; first = end++) {
      while (end < s.pixels && s.channels > 1 && sorted[end].key == sorted[first].key)
        ++end;
      write_planes(sorted, first, end - first, s.channels, to);
    }
  });
}

}  // namespace clx::kernels
