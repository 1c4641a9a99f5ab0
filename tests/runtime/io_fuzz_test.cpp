// Valid files with bytes changed, cut, doubled or removed: a reader returns or throws clx::Error.
#include <fstream>
#include <functional>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <vector>

#include "runtime/check.h"
#include "runtime/io/csv.h"
#include "runtime/io/image.h"
#include "runtime/io/npy.h"
#include "runtime/io/npz.h"
#include "runtime/io/safetensors.h"
#include "tests/runtime/scratch_folder.h"

namespace clx::io {
namespace {

using Bytes = std::vector<std::uint8_t>;
constexpr int kCases = 2000;

struct Format {
  const char* name;
  std::vector<std::string> seeds;
  std::function<void(const std::filesystem::path&)> read;
};

std::ostream& operator<<(std::ostream& out, const Format& format) {
  return out << format.name;
}

// Without the syncing of write_file, which 2,000 cases would feel.
void write_plain(const std::filesystem::path& path, const Bytes& bytes) {
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), std::ssize(bytes));
}

class Mutator {
 public:
  explicit Mutator(unsigned seed) : random_(seed) {}

  Bytes operator()(Bytes bytes) {
    const std::size_t edits = 1 + below(4);
    for (std::size_t i = 0; i < edits && !bytes.empty(); ++i)
      edit(bytes);
    return bytes;
  }
  std::size_t below(std::size_t n) { return random_() % n; }

 private:
  void edit(Bytes& bytes) {
    constexpr std::uint8_t kEdges[] = {0x00, 0x01, 0x7f, 0x80, 0xff, '9', '[', '"', '-'};
    const std::size_t at = below(bytes.size());
    const std::size_t length = 1 + below(std::min<std::size_t>(16, bytes.size() - at));
    const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    const auto end = begin + static_cast<std::ptrdiff_t>(length);
    switch (below(6)) {
      case 0:
        bytes[at] ^= static_cast<std::uint8_t>(1u << below(8));
        break;
      case 1:
        bytes[at] = kEdges[below(std::size(kEdges))];
        break;
      case 2:
        bytes[at] = static_cast<std::uint8_t>(below(256));
        break;
      case 3:
        bytes.resize(at);
        break;
      case 4:
        bytes.erase(begin, end);
        break;
      default: {
        const Bytes part(begin, end);
        bytes.insert(begin, part.begin(), part.end());
      }
    }
  }
  std::mt19937 random_;
};

class Fuzz : public testing::TestWithParam<Format> {};

TEST_P(Fuzz, ThrowsErrorOrReturns) {
  const ScratchFolder folder;
  const Format& format = GetParam();
  std::vector<Bytes> seeds;
  for (const std::string& name : format.seeds)
    seeds.push_back(read_file(io_fixture(name)));
  Mutator mutate(20240607);
  int refused = 0;
  for (int i = 0; i < kCases; ++i) {
    const Bytes bytes = mutate(seeds[static_cast<std::size_t>(i) % seeds.size()]);
    write_plain(folder / "case", bytes);
    try {
      format.read(folder / "case");
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, kCases / 10);
}

const Format kFormats[] = {
    {"npy", {"f32.npy", "f64.npy", "i64.npy", "bool.npy", "version2.npy", "empty.npy"}, read_npy},
    {"npz", {"stored.npz", "deflated.npz"}, [](const auto& path) { read_npz(path); }},
    {"safetensors", {"kept.safetensors", "converted.safetensors"}, read_safetensors},
    {"png",
     {"rgb.png", "palette.png", "bilevel.png", "interlaced.png", "grey16.png", "la16.png",
      "orientation6.png"},
     [](const auto& path) { read_image(path, {.upright = true}); }},
    {"jpeg",
     {"rgb.jpg", "grey.jpg", "cmyk.jpg", "progressive.jpg", "noisy420.jpg", "orientation7.jpg"},
     [](const auto& path) { read_image(path, {.upright = true}); }},
    {"csv", {"scores.csv"}, read_csv},
};
INSTANTIATE_TEST_SUITE_P(Formats, Fuzz, testing::ValuesIn(kFormats), [](const auto& info) {
  return std::string(info.param.name);
});

}  // namespace
}  // namespace clx::io
