#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/check.h"
#include "runtime/io/safetensors.h"
#include "tests/runtime/scratch_folder.h"

namespace clx::io {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// A file with this header and `data` zero bytes behind it.
std::string file_with(const std::string& header, std::size_t data) {
  std::string text;
  for (int i = 0; i < 8; ++i)
    text += static_cast<char>(header.size() >> (8 * i) & 0xff);
  return text + header + std::string(data, '\0');
}
SafeTensors read_text(const std::string& text) {
  const ScratchFolder folder;
  write_file(folder / "x.safetensors", text.data(), text.size());
  return read_safetensors(folder / "x.safetensors");
}
std::string refusal(const std::string& header, std::size_t data) {
  return message_of<DataError>([&] { read_text(file_with(header, data)); });
}
std::string tensor(const std::string& name, const std::string& shape, int begin, int end) {
  return '"' + name + R"(":{"dtype":"F32","shape":)" + shape + R"(,"data_offsets":[)" +
         std::to_string(begin) + "," + std::to_string(end) + "]}";
}

TEST(SafeTensors, ReadsWhatTheReferenceWrote) {
  const SafeTensors file = read_safetensors(io_fixture("kept.safetensors"));
  EXPECT_EQ(file.metadata, (std::map<std::string, std::string>{{"format", "pt"}}));
  ASSERT_EQ(file.tensors.size(), 6u);
  EXPECT_EQ(file.tensors.at("w").shape(), (Shape{2, 3}));
  EXPECT_THAT(file.tensors.at("w").to_host(), ElementsAre(0.0f, 0.125f, 0.25f, 0.375f, 0.5f, 0.625f));
  ASSERT_EQ(file.tensors.at("half.way").dtype(), DType::bf16);
  EXPECT_EQ(static_cast<float>(file.tensors.at("half.way").to_host<bf16>()[5]), 0.625f);
  EXPECT_THAT(file.tensors.at("bytes").to_host<std::uint8_t>(), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(file.tensors.at("count").to_host<std::int64_t>(), ElementsAre(7));
  EXPECT_EQ(file.tensors.at("count").rank(), 0);
  EXPECT_THAT(file.tensors.at("index").to_host<std::int32_t>(), ElementsAre(-3, -2, -1, 0, 1, 2));
  EXPECT_EQ(file.tensors.at("a \"quoted\" näme").shape(), (Shape{0, 3}));
}

TEST(SafeTensors, ConvertsTypesTheFrameworkDoesNotHave) {
  const SafeTensors file = read_safetensors(io_fixture("converted.safetensors"));
  EXPECT_TRUE(file.metadata.empty());
  EXPECT_THAT(file.tensors.at("h").to_host(), ElementsAre(0.0f, 0.125f, 0.25f, 0.375f, 0.5f, 0.625f));
  EXPECT_THAT(file.tensors.at("d").to_host(), ElementsAre(0.0f, 0.1f, 0.2f, 0.3f, 0.4f, 0.5f));
  EXPECT_THAT(file.tensors.at("b").to_host<std::uint8_t>(), ElementsAre(1, 0, 1, 0, 1, 0));
}

TEST(SafeTensors, WritesTheBytesThatTheReferenceWrites) {
  const ScratchFolder folder;
  const SafeTensors file = read_safetensors(io_fixture("kept.safetensors"));
  write_safetensors(folder / "again.safetensors", file.tensors, file.metadata);
  EXPECT_EQ(read_file(folder / "again.safetensors"), read_file(io_fixture("kept.safetensors")));
}

TEST(SafeTensors, RoundTripsNoTensorsAndManyStrings) {
  const ScratchFolder folder;
  const std::map<std::string, std::string> metadata{{"config", "lr = 0.1\n\"quoted\" \x01"}, {"ü", ""}};
  write_safetensors(folder / "a.safetensors", {}, metadata);
  const SafeTensors file = read_safetensors(folder / "a.safetensors");
  EXPECT_EQ(file.metadata, metadata);
  EXPECT_TRUE(file.tensors.empty());
  EXPECT_EQ(read_file(folder / "a.safetensors").size() % 8, 0u);
}

TEST(SafeTensors, RefusesToWriteWhatCannotBeRead) {
  const ScratchFolder folder;
  const auto path = folder / "a.safetensors";
  EXPECT_THROW(write_safetensors(path, {{"x", Tensor()}}), Error);
  EXPECT_THROW(write_safetensors(path, {{"__metadata__", Tensor::zeros({1})}}), Error);
  EXPECT_THAT(message_of<Error>([&] {
                write_safetensors(path, {{"\xff", Tensor::zeros({1})}});
              }),
              HasSubstr("UTF-8"));
  EXPECT_THROW(write_safetensors(folder / "no/a.safetensors", {}), Error);
  EXPECT_TRUE(folder.names().empty());
}

TEST(SafeTensors, RefusesEveryTruncationAndExtraBytes) {
  const auto bytes = read_file(io_fixture("kept.safetensors"));
  std::string text(bytes.begin(), bytes.end());
  for (std::size_t n = 0; n < text.size(); ++n)
    EXPECT_THROW(read_text(text.substr(0, n)), DataError) << n;
  EXPECT_THROW(read_text(text + '\0'), DataError);
  EXPECT_THAT(message_of<DataError>([] { read_safetensors(io_fixture("none.safetensors")); }),
              HasSubstr("No such file"));
}

TEST(SafeTensors, RefusesHeadersThatAreTooLong) {
  std::string text = file_with("{}", 0);
  text[0] = 100;
  EXPECT_THAT(message_of<DataError>([&] { read_text(text); }),
              HasSubstr("a header of 100 bytes, got a file of 10"));
  text[7] = 0x7f;
  EXPECT_THAT(message_of<DataError>([&] { read_text(text); }), HasSubstr("at most 100 MB"));
}

TEST(SafeTensors, RefusesHeadersThatAreNotJson) {
  EXPECT_TRUE(read_text(file_with("{}      ", 0)).tensors.empty());
  for (const char* header : {"{", "{\"a\":}", "{}x", "{\"\xff\":1}", "{\"a\":1e999}"})
    EXPECT_THAT(refusal(header, 0), HasSubstr("x.safetensors: expected")) << header;
  for (const char* header : {"", "[]", " {}", "null"})
    EXPECT_THAT(refusal(header, 0), HasSubstr("a header that begins with {")) << header;
  EXPECT_THAT(refusal("{\"a\":" + std::string(100'000, '['), 0), HasSubstr("nested"));
}

TEST(SafeTensors, RefusesRepeatedNames) {
  EXPECT_THAT(refusal("{" + tensor("a", "[1]", 0, 4) + "," + tensor("a", "[1]", 4, 8) + "}", 8),
              HasSubstr("two of a"));
  EXPECT_THAT(refusal(R"({"a":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}})", 4),
              HasSubstr("two of shape"));
  EXPECT_THAT(refusal(R"({"__metadata__":{"k":"1","k":"2"}})", 0), HasSubstr("two of k"));
}

TEST(SafeTensors, RefusesMetadataThatIsNotStrings) {
  EXPECT_THAT(refusal(R"({"__metadata__":{"k":1}})", 0),
              HasSubstr("metadata of names and strings, got number"));
  EXPECT_THAT(refusal(R"({"__metadata__":["k"]})", 0), HasSubstr("metadata of names and strings, got array"));
}

TEST(SafeTensors, RefusesExtentsThatDoNotTile) {
  EXPECT_EQ(read_text(file_with("{" + tensor("b", "[1]", 4, 8) + "," + tensor("a", "[1]", 0, 4) + "}", 8))
                .tensors.size(),
            2u);
  const auto two = [](int begin, int end, std::size_t data) {
    return refusal("{" + tensor("a", "[2]", 0, 8) + "," + tensor("b", "[2]", begin, end) + "}", data);
  };
  EXPECT_THAT(two(4, 12, 12), HasSubstr("data of b at offset 8, got 4 (an overlap)"));
  EXPECT_THAT(two(0, 8, 8), HasSubstr("an overlap"));
  EXPECT_THAT(two(12, 20, 20), HasSubstr("data of b at offset 8, got 12 (a gap)"));
  EXPECT_THAT(two(8, 16, 12), HasSubstr("expected 16 bytes of data, got 12"));
  EXPECT_THAT(two(8, 16, 20), HasSubstr("expected 16 bytes of data, got 20"));
  EXPECT_THAT(two(8, 12, 12),
              HasSubstr("(b): expected 8 bytes for shape (2) and dtype F32, got data_offsets 8 to 12"));
  EXPECT_THAT(two(16, 8, 16), HasSubstr("data_offsets 16 to 8"));
  EXPECT_THAT(refusal("{" + tensor("a", "[1]", 4, 8) + "}", 8), HasSubstr("a gap"));
}

TEST(SafeTensors, RefusesShapesThatAreNone) {
  for (const char* shape : {"[-1]", "[1.0]", "[\"1\"]", "[null]", "[9223372036854775808]", "[1e3]"})
    EXPECT_THAT(refusal("{" + tensor("a", shape, 0, 4) + "}", 4), HasSubstr("expected a shape of sizes"))
        << shape;
  EXPECT_THAT(refusal("{" + tensor("a", "[[1]]", 0, 4) + "}", 4), HasSubstr("nested"));
  EXPECT_THAT(refusal("{" + tensor("a", "1", 0, 4) + "}", 4), HasSubstr("expected a shape, got number"));
  for (const char* shape :
       {"[4294967296,4294967296]", "[9223372036854775807,2]", "[0,9223372036854775807,4]"})
    EXPECT_THAT(refusal("{" + tensor("a", shape, 0, 0) + "}", 0), HasSubstr("a shape that fits memory"))
        << shape;
  EXPECT_THAT(refusal("{" + tensor("a", "[1000000000]", 0, 4) + "}", 4),
              HasSubstr("expected 4000000000 bytes"));
}

TEST(SafeTensors, RefusesOtherFieldsAndTypes) {
  EXPECT_THAT(refusal(R"({"a":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}})", 4),
              HasSubstr("got F8_E4M3"));
  EXPECT_THAT(refusal(R"({"a":{"dtype":1,"shape":[4],"data_offsets":[0,4]}})", 4),
              HasSubstr("a dtype, got number"));
  EXPECT_THAT(refusal(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", 4),
              HasSubstr("two data_offsets"));
  EXPECT_THAT(refusal(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}})", 4),
              HasSubstr("offsets of sizes"));
  EXPECT_THAT(refusal(R"({"a":{"dtype":"F32","shape":[1]}})", 4), HasSubstr("dtype, shape and data_offsets"));
  EXPECT_THAT(refusal(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}})", 4),
              HasSubstr("other fields"));
  EXPECT_THAT(refusal(R"({"a":1})", 4), HasSubstr("other fields"));
}

}  // namespace
}  // namespace clx::io
