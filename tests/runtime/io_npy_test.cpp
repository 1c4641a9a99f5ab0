#include <cmath>
#include <cstring>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>

#include "runtime/check.h"
#include "runtime/io/element.h"
#include "runtime/io/npy.h"
#include "tests/runtime/scratch_folder.h"

namespace clx::io {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr float kInf = std::numeric_limits<float>::infinity();

// A version-1 file with this dict as header and `data` zero bytes behind it.
std::vector<std::uint8_t> npy_with(const std::string& dict, std::size_t data) {
  std::string text("\x93NUMPY\x01\x00", 8);
  text += static_cast<char>(dict.size() & 0xff);
  text += static_cast<char>(dict.size() >> 8);
  text += dict + std::string(data, '\0');
  return {text.begin(), text.end()};
}
std::string refusal(const std::string& dict, std::size_t data) {
  return message_of<DataError>([&] { decode_npy(npy_with(dict, data), "x.npy"); });
}

TEST(Npy, ReadsWhatNumpyWrote) {
  const std::vector<float> tenths{0.0f, 0.1f, 0.2f, 0.3f, 0.4f, 0.5f};
  for (const char* name : {"f32.npy", "f64.npy", "version2.npy"}) {
    SCOPED_TRACE(name);
    const Tensor x = read_npy(io_fixture(name));
    EXPECT_EQ(x.shape(), (Shape{2, 3}));
    ASSERT_EQ(x.dtype(), DType::f32);
    EXPECT_THAT(x.to_host(), testing::Pointwise(testing::FloatEq(), tenths));
  }
  EXPECT_THAT(read_npy(io_fixture("i32.npy")).to_host<std::int32_t>(), ElementsAre(-3, -2, -1, 0, 1, 2));
  EXPECT_EQ(read_npy(io_fixture("i64.npy")).to_host<std::int64_t>()[5], 5'000'000'000'000);
  EXPECT_THAT(read_npy(io_fixture("u8.npy")).to_host<std::uint8_t>(), ElementsAre(0, 50, 100, 150, 200, 250));
  EXPECT_THAT(read_npy(io_fixture("bool.npy")).to_host<std::uint8_t>(), ElementsAre(1, 0, 1, 0, 1, 0));
  EXPECT_EQ(read_npy(io_fixture("scalar.npy")).item(), 2.5f);
  EXPECT_EQ(read_npy(io_fixture("scalar.npy")).rank(), 0);
  EXPECT_EQ(read_npy(io_fixture("empty.npy")).shape(), (Shape{0, 3}));
  const std::vector<float> halves = read_npy(io_fixture("f16.npy")).to_host();
  EXPECT_THAT(std::vector<float>(halves.begin(), halves.begin() + 6),
              ElementsAre(1.0f, -0.5f, 0x1p-24f, 65504.0f, kInf, -kInf));
  EXPECT_TRUE(std::isnan(halves[6]));
  EXPECT_EQ(halves[7], 0.0999755859375f);
}

TEST(Npy, WritesTheBytesThatNumpyWrites) {
  const ScratchFolder folder;
  for (const char* name :
       {"f32.npy", "i32.npy", "i64.npy", "u8.npy", "scalar.npy", "vector.npy", "empty.npy"}) {
    write_npy(folder / name, read_npy(io_fixture(name)));
    EXPECT_EQ(read_file(folder / name), read_file(io_fixture(name))) << name;
  }
}

TEST(Npy, WritesBf16AsFloat32) {
  const Tensor x = Tensor::from_host<bf16>({2}, std::vector<bf16>{bf16(1.5f), bf16(-2.0f)});
  EXPECT_THAT(decode_npy(encode_npy(x), "x").to_host(), ElementsAre(1.5f, -2.0f));
}

TEST(Npy, RefusesOtherKindsOfArrays) {
  EXPECT_THAT(message_of<DataError>([] { read_npy(io_fixture("fortran.npy")); }),
              HasSubstr("fortran.npy: expected C order, got Fortran order; save numpy.ascontiguousarray"));
  for (const char* name : {"big_endian.npy", "text.npy", "object.npy"})
    EXPECT_THAT(message_of<DataError>([&] { read_npy(io_fixture(name)); }),
                HasSubstr("little-endian), got dtype "))
        << name;
  EXPECT_THAT(message_of<DataError>([] { read_npy(io_fixture("structured.npy")); }),
              HasSubstr("structured dtype"));
  EXPECT_THAT(message_of<DataError>([] { read_npy(io_fixture("rgb.png")); }),
              HasSubstr("expected a .npy array"));
  EXPECT_THAT(message_of<DataError>([] { read_npy(io_fixture("none.npy")); }), HasSubstr("No such file"));
}

TEST(Npy, RefusesEveryTruncationAndExtraBytes) {
  std::vector<std::uint8_t> bytes = read_file(io_fixture("f32.npy"));
  for (std::size_t n = 0; n < bytes.size(); ++n)
    EXPECT_THROW(decode_npy({bytes.data(), n}, "x.npy"), DataError) << n;
  bytes.push_back(0);
  EXPECT_THROW(decode_npy(bytes, "x.npy"), DataError);
}

TEST(Npy, RefusesHostileHeaders) {
  EXPECT_EQ(decode_npy(npy_with("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", 8), "x").size(),
            2);
  const std::string front = "{'descr': '<f4', 'fortran_order': False, 'shape': ";
  EXPECT_THAT(refusal(front + "(1000000000, 1000000000)}", 8),
              HasSubstr("expected 4000000000000000000 bytes of data"));
  EXPECT_THAT(refusal(front + "(4294967296, 4294967296)}", 0), HasSubstr("too large"));
  EXPECT_THAT(refusal(front + "(0, 9223372036854775807, 2)}", 0), HasSubstr("too large"));
  EXPECT_THAT(refusal(front + "(2305843009213693952, 8)}", 0), HasSubstr("too large"));
  EXPECT_THAT(refusal(front + "(99999999999999999999,)}", 0), HasSubstr("not a tuple of sizes"));
  EXPECT_THAT(refusal(front + "(-1, -2)}", 8), HasSubstr("not a tuple of sizes"));
  EXPECT_THAT(refusal(front + "(2.0,)}", 8), HasSubstr("expected a .npy header"));
  EXPECT_THAT(refusal(front + "(2", 8), HasSubstr("expected a .npy header"));
  EXPECT_THAT(refusal(front + "(2,)} extra", 8), HasSubstr("text after the dict"));
  EXPECT_THAT(refusal("{'descr': '<f4', 'fortran_order': False}", 8), HasSubstr("no descr"));
  EXPECT_THAT(refusal("{'descr': '<f4', 'descr': '<f4'}", 8), HasSubstr("repeated key"));
  EXPECT_THAT(refusal("{'descr': '<f4}", 8), HasSubstr("open quote"));
  EXPECT_THAT(refusal("", 8), HasSubstr("expected a .npy header"));
  std::string many = "(";
  for (int i = 0; i < 65; ++i)
    many += "1,";
  EXPECT_THAT(refusal(front + many + ")}", 4), HasSubstr("more than 64 axes"));
  std::vector<std::uint8_t> version9 = npy_with(front + "(2,)}", 8);
  version9[6] = 9;
  EXPECT_THAT(message_of<DataError>([&] { decode_npy(version9, "x"); }), HasSubstr("version 1 to 3, got 9"));
}

TEST(Npy, RefusesToWriteNothing) {
  const ScratchFolder folder;
  EXPECT_THROW(write_npy(folder / "x.npy", Tensor()), Error);
  EXPECT_THROW(encode_npy(Tensor(Shape(std::vector<std::int64_t>(33, 1)))), Error);
  EXPECT_TRUE(folder.names().empty());
}

// Bits to value by the definition: (−1)^s · m · 2^e, with the implicit one unless e = 0.
TEST(HalfToFloat, IsExactForAllFiniteHalves) {
  for (unsigned bits = 0; bits < 0x10000; ++bits) {
    const unsigned exponent = bits >> 10 & 31, mantissa = bits & 1023;
    if (exponent == 31) continue;
    const double magnitude =
        exponent == 0 ? mantissa / 16777216.0 : (1 + mantissa / 1024.0) * std::exp2(exponent - 15.0);
    ASSERT_EQ(half_to_float(static_cast<std::uint16_t>(bits)), bits & 0x8000 ? -magnitude : magnitude)
        << bits;
  }
}

}  // namespace
}  // namespace clx::io
