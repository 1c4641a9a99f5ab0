#include "runtime/ops/map_scores.h"

#include <cstring>

#include "runtime/dispatch.h"
#include "runtime/ops/require.h"

namespace clx {
namespace {

void require_ranked(const char* op, const Tensor& maps, const Tensor& ranks) {
  require_floating(op, "maps", maps);
  require_rank(op, "maps (N,H,W)", maps, 3);
  require(op, "maps", maps, DType::f32, maps.shape(), maps.device());
  if (ranks.defined()) require(op, "ranks", ranks, DType::i32, maps.shape(), maps.device());
}

const std::int32_t* data_of(const Tensor& ranks) {
  return ranks.defined() ? ranks.data<std::int32_t>() : nullptr;
}

template <class T>
constexpr std::int64_t kWords = sizeof(T) / sizeof(std::int64_t);

// What `write` puts into memory of the device, one of T for each map.
template <class T, class F>
Tensor queue(const Tensor& maps, F&& write) {
  static_assert(sizeof(T) % sizeof(std::int64_t) == 0);
  Tensor memory({maps.dim(0), kWords<T>}, maps.device(), DType::i64);
  write(static_cast<T*>(memory.mutable_view().data));
  return memory;
}

template <class T>
std::vector<T> read(const char* op, const Tensor& queued) {
  require(op, "scores", queued, DType::i64, {queued.defined() ? queued.dim(0) : 0, kWords<T>},
          queued.device());
  const std::vector<std::int64_t> words = queued.to_host<std::int64_t>();
  std::vector<T> scores(static_cast<std::size_t>(queued.dim(0)));
  std::memcpy(static_cast<void*>(scores.data()), words.data(), words.size() * sizeof(std::int64_t));
  return scores;
}

}  // namespace

Tensor queue_map_scores(const Tensor& maps, const Tensor& ranks, float threshold) {
  require_ranked("map_scores", maps, ranks);
  const int N = static_cast<int>(maps.dim(0)), pixels = static_cast<int>(maps.dim(1) * maps.dim(2));
  return queue<MapScores>(maps, [&](MapScores* scores) {
    on(maps.device(), [&](const auto& backend) {
      kernels::map_scores(backend, N, pixels, threshold, maps.data(), data_of(ranks), scores);
    });
  });
}

Tensor queue_mask_scores(const Tensor& maps, const Tensor& masks, const Tensor& ranks) {
  require_ranked("mask_scores", maps, ranks);
  require("mask_scores", "masks", masks, DType::u8, maps.shape(), maps.device());
  const int N = static_cast<int>(maps.dim(0)), pixels = static_cast<int>(maps.dim(1) * maps.dim(2));
  return queue<MaskScores>(maps, [&](MaskScores* scores) {
    on(maps.device(), [&](const auto& backend) {
      kernels::mask_scores(backend, N, pixels, maps.data(), masks.data<std::uint8_t>(), data_of(ranks),
                           scores);
    });
  });
}

std::vector<MapScores> read_map_scores(const Tensor& queued) {
  return read<MapScores>("read_map_scores", queued);
}

std::vector<MaskScores> read_mask_scores(const Tensor& queued) {
  return read<MaskScores>("read_mask_scores", queued);
}

std::vector<MapScores> map_scores(const Tensor& maps, const Tensor& ranks, float threshold) {
  return read_map_scores(queue_map_scores(maps, ranks, threshold));
}

std::vector<MaskScores> mask_scores(const Tensor& maps, const Tensor& masks, const Tensor& ranks) {
  return read_mask_scores(queue_mask_scores(maps, masks, ranks));
}

}  // namespace clx
