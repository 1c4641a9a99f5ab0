#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <numeric>

#include "runtime/check.h"
#include "runtime/io/npz.h"
#include "tests/runtime/scratch_folder.h"

namespace clx::io {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using Bytes = std::vector<std::uint8_t>;

std::string refusal(const ScratchFolder& folder, const Bytes& bytes) {
  write_file(folder / "bad.npz", bytes.data(), bytes.size());
  return message_of<DataError>([&] { read_npz(folder / "bad.npz"); });
}

// Where the n-th occurrence of a zip signature begins.
std::size_t signature(const Bytes& bytes, std::uint8_t third, std::uint8_t fourth, int n = 0) {
  const Bytes pattern{'P', 'K', third, fourth};
  auto at = bytes.begin() - 1;
  for (int i = 0; i <= n; ++i)
    at = std::search(at + 1, bytes.end(), pattern.begin(), pattern.end());
  EXPECT_NE(at, bytes.end());
  return static_cast<std::size_t>(at - bytes.begin());
}

Tensor ramp(std::int64_t n) {
  std::vector<float> values(static_cast<std::size_t>(n));
  std::iota(values.begin(), values.end(), 0.0f);
  return Tensor::from_host({n}, values);
}

TEST(Npz, ReadsWhatNumpyWrote) {
  for (const char* name : {"stored.npz", "deflated.npz"}) {
    SCOPED_TRACE(name);
    const auto arrays = read_npz(io_fixture(name));
    ASSERT_EQ(arrays.size(), 2u);
    EXPECT_THAT(arrays.at("idx").to_host<std::int64_t>(), ElementsAre(0, 1, 2, 3));
    const Tensor& maps = arrays.at("maps");
    ASSERT_EQ(maps.shape(), (Shape{4, 8, 8}));
    const auto values = maps.to_host();
    for (std::size_t i = 0; i < values.size(); ++i)
      ASSERT_EQ(values[i], static_cast<float>(i / 64));
  }
}

TEST(Npz, ReadsBackWhatItWrote) {
  const ScratchFolder folder;
  for (const bool compress : {false, true}) {
    const std::map<std::string, Tensor> arrays{
        {"ramp", ramp(1000)},
        {"none", Tensor(Shape{0, 2})},
        {"labels", Tensor::from_host<std::int32_t>({2}, std::vector<std::int32_t>{-1, 7})}};
    write_npz(folder / "a.npz", arrays, {.compress = compress});
    const auto read = read_npz(folder / "a.npz");
    ASSERT_EQ(read.size(), 3u);
    EXPECT_EQ(read.at("ramp").to_host(), arrays.at("ramp").to_host());
    EXPECT_EQ(read.at("none").shape(), (Shape{0, 2}));
    EXPECT_THAT(read.at("labels").to_host<std::int32_t>(), ElementsAre(-1, 7));
    const Bytes first = read_file(folder / "a.npz");
    EXPECT_EQ(first.size() < 4000, compress);
    write_npz(folder / "b.npz", arrays, {.compress = compress});
    EXPECT_EQ(read_file(folder / "b.npz"), first);
  }
}

TEST(Npz, RefusesEveryTruncation) {
  const ScratchFolder folder;
  const Bytes bytes = read_file(io_fixture("deflated.npz"));
  for (std::size_t n = 0; n < bytes.size(); ++n)
    EXPECT_THAT(refusal(folder, {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n)}),
                HasSubstr("bad.npz"));
}

TEST(Npz, RefusesDamagedMembers) {
  const ScratchFolder folder;
  const Bytes stored = read_file(io_fixture("stored.npz"));
  const std::size_t central = signature(stored, 1, 2), second = signature(stored, 1, 2, 1);
  const auto with = [&](std::size_t at, std::uint8_t value) {
    Bytes bytes = stored;
    bytes[at] = value;
    return bytes;
  };
  EXPECT_THAT(refusal(folder, with(300, 1)),
              HasSubstr("bad.npz (maps.npy): expected intact data, got a wrong CRC"));
  EXPECT_THAT(refusal(folder, with(central + 8, 1)), HasSubstr("encrypted"));
  EXPECT_THAT(refusal(folder, with(central + 10, 12)), HasSubstr("another compression"));
  EXPECT_THAT(refusal(folder, with(central + 27, 0x7f)), HasSubstr("two sizes for it"));
  EXPECT_THAT(refusal(folder, with(central + 42, 9)), HasSubstr("expected a member, got none at its offset"));
  Bytes overlap = stored;
  std::copy_n(stored.begin() + static_cast<std::ptrdiff_t>(central) + 42, 4,
              overlap.begin() + static_cast<std::ptrdiff_t>(second) + 42);
  EXPECT_THAT(refusal(folder, overlap), HasSubstr("overlapping"));
  Bytes zip64 = stored;
  std::fill_n(zip64.begin() + static_cast<std::ptrdiff_t>(central) + 24, 4, 0xff);
  EXPECT_THAT(refusal(folder, zip64), HasSubstr("expected an archive below 4 GiB, got zip64"));
}

TEST(Npz, RefusesSizesThatDeflateCannotReach) {
  const ScratchFolder folder;
  Bytes bytes = read_file(io_fixture("deflated.npz"));
  bytes[signature(bytes, 1, 2) + 27] = 0x40;
  EXPECT_THAT(refusal(folder, bytes), HasSubstr("impossible size"));
  bytes = read_file(io_fixture("deflated.npz"));
  bytes[signature(bytes, 1, 2) + 24] ^= 1;
  EXPECT_THAT(refusal(folder, bytes), HasSubstr("deflated data of the stated size"));
}

TEST(Npz, RefusesToUnpackMoreThanAllowed) {
  EXPECT_NO_THROW(read_npz(io_fixture("deflated.npz"), 2000));
  EXPECT_THAT(message_of<DataError>([] { read_npz(io_fixture("deflated.npz"), 1000); }),
              HasSubstr("expected at most 1000 bytes of arrays"));
}

TEST(Npz, RefusesRepeatedAndEmptyNames) {
  const ScratchFolder folder;
  {
    NpzWriter writer(folder / "a.npz");
    writer.add("x", ramp(2));
    EXPECT_THROW(writer.add("x", ramp(2)), Error);
    EXPECT_THROW(writer.add("", ramp(2)), Error);
    EXPECT_THROW(writer.add("y", Tensor()), Error);
  }
  EXPECT_TRUE(folder.names().empty());
  write_npz(folder / "a.npz", {{"x", ramp(2)}, {"y", ramp(2)}});
  Bytes bytes = read_file(folder / "a.npz");
  const std::size_t name = signature(bytes, 1, 2, 1) + 46;
  ASSERT_EQ(bytes[name], 'y');
  bytes[name] = 'x';
  EXPECT_THAT(refusal(folder, bytes), HasSubstr("two of x"));
}

}  // namespace
}  // namespace clx::io
