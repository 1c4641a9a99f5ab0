// S = z·zᵀ/temperature is symmetric: a tile of it, computed once, serves its rows and its columns. Tiles are
// visited in rounds in which no two share a row or a column, so that threads need no locks and every sum has
// one order. What a tile needs lies in the second-level cache.
#include "kernels/supcon.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "kernels/cpu/exp2.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/tile_product.h"

namespace clx::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kLog2e = 1.44269504088896341f;
constexpr double kLn2 = 0.693147180559945309;

VecInt load_int(const std::int32_t* p) {
  VecInt v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

// How S is cut into tiles. Sizes depend on N and D alone.
struct Cut {
  int N, D;
  int side;    // of a tile: a multiple of kLanes and kBlockRows
  int blocks;  // tiles along a side of S
  int width;   // D rounded up to whole vectors

  explicit Cut(SupconShape s)
      : N(s.N),
        D(s.D),
        side(s.N <= 1024   ? 48
             : s.N <= 4096 ? 96
                           : 192),
        blocks((s.N + side - 1) / side),
        width((s.D + kLanes - 1) / kLanes * kLanes) {}

  int first(int block) const { return block * side; }
  int count(int block) const { return std::min(side, N - block * side); }

  // Calls f(a, b) for every a ≤ b < blocks. In round r come the pairs with a + b = r modulo `blocks`: each
  // block is in exactly one of them.
  template <class F>
  void for_pairs(F&& f) const {
    for (int round = 0; round < blocks; ++round)
      parallel_for(blocks, [&](std::int64_t a) {
        const int b = (round - static_cast<int>(a) + blocks) % blocks;
        if (a <= b) f(static_cast<int>(a), b);
      });
  }
};

// One thread's memory: floats handed out from the start.
class Slot {
 public:
  Slot(float* memory) : next_(memory) {}
  float* take(std::size_t n) { return std::exchange(next_, next_ + (n + kLanes - 1) / kLanes * kLanes); }

 private:
  float* next_;
};

// A block's rows of z, with zeros up to whole vectors and rows.
void copy_rows(const Cut& cut, const float* z, int block, float* to) {
  const int count = cut.count(block);
  for (int i = 0; i < cut.side; ++i, to += cut.width) {
    const int filled = i < count ? cut.D : 0;
    if (filled) std::copy_n(z + std::int64_t(cut.first(block) + i) * cut.D, cut.D, to);
    std::fill(to + filled, to + cut.width, 0.0f);
  }
}

// rows (side,width) → (width,side)
void transpose(const Cut& cut, const float* rows, float* to) {
  for (int i = 0; i < cut.side; i += kLanes)
    for (int d = 0; d < cut.width; d += kLanes)
      transpose_square(rows + i * cut.width + d, cut.width, to + d * cut.side + i, cut.side);
}

// The products of two blocks' rows; −∞ where a row would meet itself or nothing.
struct Tile {
  float *a, *b, *b_transposed, *products;

  Tile(const Cut& cut, Slot& slot)
      : a(slot.take(cut.side * cut.width)),
        b(slot.take(cut.side * cut.width)),
        b_transposed(slot.take(cut.side * cut.width)),
        products(slot.take(cut.side * cut.side)) {}
  static std::size_t floats(const Cut& cut) {
    return std::size_t(cut.side) * (3 * std::size_t(cut.width) + std::size_t(cut.side));
  }

  void compute(const Cut& cut, const float* z, int block_a, int block_b) {
    const int side = cut.side, rows = cut.count(block_a), columns = cut.count(block_b);
    copy_rows(cut, z, block_a, a);
    if (block_a == block_b)
      b = a;
    else
      copy_rows(cut, z, block_b, b);
    transpose(cut, b, b_transposed);
    multiply_tile(rows, columns, cut.D, {a, cut.width, 1}, b_transposed, side, products, side);
    if (columns < side)
      for (int i = 0; i < rows; ++i)
        std::fill(products + i * side + columns, products + (i + 1) * side, -kInfinity);
    if (block_a == block_b)
      for (int i = 0; i < rows; ++i)
        products[i * (side + 1)] = -kInfinity;
  }
};

template <class T>
void copy_filled(const T* from, int count, int side, T fill, T* to) {
  std::copy_n(from, count, to);
  std::fill(to + count, to + side, fill);
}

// What a row of S amounts to over the columns seen so far, in units of log₂.
struct RowSum {
  double sum = 0;        // Σ_j 2^(s_j − max)
  double positives = 0;  // Σ s_j over the positives
  float max = -kInfinity;
  std::int32_t count = 0;  // of the positives
  float before = -kInfinity;

  // `larger` is the tile's maximum; sums to add are relative to the new maximum.
  void raise(float larger) {
    before = max;
    if (larger > max) max = larger;
  }
  void add(float tile_sum, float tile_positives, std::int32_t tile_count) {
    if (before != max) sum *= std::exp2(static_cast<double>(before - max));
    sum += static_cast<double>(tile_sum);
    positives += static_cast<double>(tile_positives);
    count += tile_count;
  }
};

// One tile's maxima and sums over its rows, for its columns.
struct ColumnSums {
  float *max, *sum, *positives;
  std::int32_t *count, *labels;

  ColumnSums(const Cut& cut, Slot& slot)
      : max(slot.take(cut.side)),
        sum(slot.take(cut.side)),
        positives(slot.take(cut.side)),
        count(reinterpret_cast<std::int32_t*>(slot.take(cut.side))),
        labels(reinterpret_cast<std::int32_t*>(slot.take(cut.side))) {}
  static std::size_t floats(const Cut& cut) { return 5 * std::size_t(cut.side); }
};

float largest(const float* x, int n) {
  Vec most = load(x);
  for (int j = kLanes; j < n; j += kLanes) {
    const Vec v = load(x + j);
    most = v > most ? v : most;
  }
  float lane[kLanes];
  store(lane, most);
  return *std::max_element(lane, lane + kLanes);
}

void add_tile(const Cut& cut,
              const Tile& tile,
              int block_a,
              int block_b,
              const std::int32_t* labels,
              float scale,
              ColumnSums& columns,
              RowSum* sums) {
  const int side = cut.side, rows = cut.count(block_a);
  RowSum *of_row = sums + cut.first(block_a), *of_column = sums + cut.first(block_b);
  const std::int32_t* row_label = labels + cut.first(block_a);
  const bool both = block_a != block_b;
  copy_filled(labels + cut.first(block_b), cut.count(block_b), side, 0, columns.labels);
  std::fill_n(columns.max, side, -kInfinity);
  std::fill_n(columns.sum, side, 0.0f);
  std::fill_n(columns.positives, side, 0.0f);
  std::fill_n(columns.count, side, 0);

  for (int i = 0; i < rows; ++i) {
    const float* s = tile.products + i * side;
    of_row[i].raise(scale * largest(s, side));
    for (int j = 0; both && j < side; j += kLanes) {
      const Vec v = load(s + j), most = load(columns.max + j);
      store(columns.max + j, v > most ? v : most);
    }
  }
  for (int j = 0; j < side; ++j) {
    if (both && j < cut.count(block_b)) {
      of_column[j].raise(scale * columns.max[j]);
      columns.max[j] = of_column[j].max;
    } else {
      columns.max[j] = 0;
    }
  }
  for (int i = 0; i < rows; ++i) {
    const float* s = tile.products + i * side;
    const Vec shift = broadcast(of_row[i].max == -kInfinity ? 0 : -of_row[i].max);
    Vec sum = {}, positives = {};
    VecInt count = {};
    for (int j = 0; j < side; j += kLanes) {
      const Vec v = load(s + j);
      const VecInt same = (load_int(columns.labels + j) == row_label[i]) & (v != -kInfinity);
      const Vec positive = same ? v : Vec{};
      sum += exp2_lanes(multiply_add(v, broadcast(scale), shift));
      positives += positive;
      count -= same;
      if (!both) continue;
      const Vec down = exp2_lanes(multiply_add(v, broadcast(scale), -load(columns.max + j)));
      store(columns.sum + j, load(columns.sum + j) + down);
      store(columns.positives + j, load(columns.positives + j) + positive);
      const VecInt counted = load_int(columns.count + j) - same;
      std::memcpy(columns.count + j, &counted, sizeof counted);
    }
    std::int32_t total = 0;
    for (int lane = 0; lane < kLanes; ++lane)
      total += count[lane];
    of_row[i].add(sum_of_lanes(sum), scale * sum_of_lanes(positives), total);
  }
  for (int j = 0; both && j < cut.count(block_b); ++j)
    of_column[j].add(columns.sum[j], scale * columns.positives[j], columns.count[j]);
}

}  // namespace

void supcon_forward(const Cpu& backend,
                    SupconShape s,
                    const float* z,
                    const std::int32_t* labels,
                    float temperature,
                    float* log_sum,
                    float* pull,
                    float* anchor_loss,
                    float* loss) {
  const Cut cut(s);
  const std::size_t floats = Tile::floats(cut) + ColumnSums::floats(cut) + 16 * kLanes;
  auto* memory = static_cast<float*>(backend.workspace(floats * sizeof(float) * std::size_t(team_size())));
  auto* sums = static_cast<RowSum*>(backend.workspace(sizeof(RowSum) * std::size_t(s.N)));
  std::fill_n(sums, s.N, RowSum{});
  cut.for_pairs([&](int a, int b) {
    Slot slot(memory + floats * std::size_t(team_slot()));
    Tile tile(cut, slot);
    ColumnSums columns(cut, slot);
    tile.compute(cut, z, a, b);
    add_tile(cut, tile, a, b, labels, kLog2e / temperature, columns, sums);
  });
  double total = 0;
  for (int i = 0; i < s.N; ++i) {
    const RowSum& row = sums[i];
    const bool counts = row.count > 0;
    const double log = static_cast<double>(row.max) + std::log2(row.sum), share = 1.0 / row.count;
    const double own = counts ? (log - row.positives * share) * kLn2 : 0;
    log_sum[i] = counts ? static_cast<float>(log) : kInfinity;
    pull[i] = counts ? static_cast<float>(share) : 0;
    anchor_loss[i] = static_cast<float>(own);
    total += own;
  }
  *loss = static_cast<float>(total / s.N);
}

namespace {

// What the tile's weights W take from its columns.
struct ColumnTerms {
  float *log_sum, *pull;
  std::int32_t* labels;

  ColumnTerms(const Cut& cut, Slot& slot)
      : log_sum(slot.take(cut.side)),
        pull(slot.take(cut.side)),
        labels(reinterpret_cast<std::int32_t*>(slot.take(cut.side))) {}
  static std::size_t floats(const Cut& cut) { return 3 * std::size_t(cut.side); }
};

// Turns a tile of products into W_ij = π_ij + π_ji − [same label]·(pull_i + pull_j).
void weigh(const Cut& cut,
           Tile& tile,
           int block_a,
           int block_b,
           const std::int32_t* labels,
           float scale,
           const float* log_sum,
           const float* pull,
           ColumnTerms& columns) {
  const int side = cut.side, a = cut.first(block_a), b = cut.first(block_b), count = cut.count(block_b);
  copy_filled(labels + b, count, side, 0, columns.labels);
  copy_filled(log_sum + b, count, side, 0.0f, columns.log_sum);
  copy_filled(pull + b, count, side, 0.0f, columns.pull);
  for (int i = 0; i < cut.count(block_a); ++i) {
    float* s = tile.products + i * side;
    const Vec shift = broadcast(-log_sum[a + i]);
    for (int j = 0; j < side; j += kLanes) {
      const Vec v = load(s + j);
      const Vec pushed = exp2_lanes(multiply_add(v, broadcast(scale), shift)) +
                         exp2_lanes(multiply_add(v, broadcast(scale), -load(columns.log_sum + j)));
      const VecInt same = load_int(columns.labels + j) == labels[a + i];
      store(s + j, same ? pushed - (load(columns.pull + j) + pull[a + i]) : pushed);
    }
    if (block_a == block_b) s[i] = 0;
  }
}

void add_rows(const Cut& cut, int block, float factor, const float* from, float* dz) {
  for (int i = 0; i < cut.count(block); ++i) {
    float* to = dz + std::int64_t(cut.first(block) + i) * cut.D;
    for (int d = 0; d < cut.D; ++d)
      to[d] += factor * from[i * cut.width + d];
  }
}

}  // namespace

void supcon_backward(const Cpu& backend,
                     SupconShape s,
                     const float* z,
                     const std::int32_t* labels,
                     float temperature,
                     const float* log_sum,
                     const float* pull,
                     const float* dloss,
                     float* dz) {
  const Cut cut(s);
  const std::size_t block = std::size_t(cut.side) * std::size_t(cut.width);
  const std::size_t floats = Tile::floats(cut) + ColumnTerms::floats(cut) + block + 16 * kLanes;
  auto* memory = static_cast<float*>(backend.workspace(floats * sizeof(float) * std::size_t(team_size())));
  const float factor = *dloss / (static_cast<float>(s.N) * temperature);
  std::fill_n(dz, std::int64_t(s.N) * s.D, 0.0f);
  cut.for_pairs([&](int a, int b) {
    Slot slot(memory + floats * std::size_t(team_slot()));
    Tile tile(cut, slot);
    ColumnTerms columns(cut, slot);
    float* product = slot.take(block);
    tile.compute(cut, z, a, b);
    weigh(cut, tile, a, b, labels, kLog2e / temperature, log_sum, pull, columns);
    multiply_tile(cut.count(a), cut.width, cut.count(b), {tile.products, cut.side, 1}, tile.b, cut.width,
                  product, cut.width);
    add_rows(cut, a, factor, product, dz);
    if (a == b) return;
    multiply_tile(cut.count(b), cut.width, cut.count(a), {tile.products, 1, cut.side}, tile.a, cut.width,
                  product, cut.width);
    add_rows(cut, b, factor, product, dz);
  });
}

}  // namespace clx::kernels
