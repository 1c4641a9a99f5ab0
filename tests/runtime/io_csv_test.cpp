#include <bit>
#include <charconv>
#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>

#include "runtime/check.h"
#include "runtime/io/csv.h"
#include "tests/runtime/scratch_folder.h"

namespace clx::io {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string text_of(const std::filesystem::path& path) {
  const auto bytes = read_file(path);
  return {bytes.begin(), bytes.end()};
}
CsvTable table_of(const std::string& text) {
  const ScratchFolder folder;
  write_file(folder / "t.csv", text.data(), text.size());
  return read_csv(folder / "t.csv");
}
std::string refusal(const std::string& text) {
  return message_of<DataError>([&] { table_of(text); });
}

TEST(Csv, WritesTheColumnsOfAScoreFile) {
  const ScratchFolder folder;
  CsvWriter csv(folder / "pf_scores.csv", {"idx", "true", "pred", "GradCAM_PF_AUC", "class, \"name\""});
  csv.row({0, 3, std::int64_t{5}, 0.1f, "cat"});
  csv.row({1, 3, 5, std::nanf(""), "a,b \"c\"\nd"});
  csv.row({2, 3, 5, 1.0, " spaced"});
  EXPECT_TRUE(!std::filesystem::exists(folder / "pf_scores.csv"));
  csv.commit();
  EXPECT_EQ(text_of(folder / "pf_scores.csv"),
            "idx,true,pred,GradCAM_PF_AUC,\"class, \"\"name\"\"\"\n"
            "0,3,5,0.1,cat\n"
            "1,3,5,nan,\"a,b \"\"c\"\"\nd\"\n"
            "2,3,5,1.0,\" spaced\"\n");
  const CsvTable table = read_csv(folder / "pf_scores.csv");
  EXPECT_THAT(table.header, ElementsAre("idx", "true", "pred", "GradCAM_PF_AUC", "class, \"name\""));
  EXPECT_THAT(table.rows[1], ElementsAre("1", "3", "5", "nan", "a,b \"c\"\nd"));
  EXPECT_EQ(table.rows[2][4], " spaced");
  const std::vector<double> auc = table.numbers("GradCAM_PF_AUC");
  EXPECT_EQ(static_cast<float>(auc[0]), 0.1f);
  EXPECT_TRUE(std::isnan(auc[1]));
}

TEST(Csv, NumbersReadBackToTheSameBits) {
  std::uint32_t state = 1;
  for (int i = 0; i < 20'000; ++i) {
    state = state * 1664525u + 1013904223u;
    const float value = std::bit_cast<float>(state);
    if (!std::isfinite(value)) continue;
    const std::string text = csv_text(value);
    float back = 0;
    std::from_chars(text.data(), text.data() + text.size(), back);
    ASSERT_EQ(std::bit_cast<std::uint32_t>(back), state) << text;
  }
  EXPECT_EQ(csv_text(0.1), "0.1");
  EXPECT_EQ(csv_text(-0.0f), "-0.0");
  EXPECT_EQ(csv_text(1e30), "1e+30");
  EXPECT_EQ(csv_text(std::numeric_limits<float>::infinity()), "inf");
  EXPECT_EQ(csv_text(-std::numeric_limits<double>::infinity()), "-inf");
}

TEST(Csv, RefusesRowsOfAnotherLength) {
  const ScratchFolder folder;
  {
    CsvWriter csv(folder / "a.csv", {"a", "b"});
    EXPECT_THAT(message_of<Error>([&] { csv.row({1}); }), HasSubstr("expected 2 fields in a row, got 1"));
    EXPECT_THROW(CsvWriter(folder / "b.csv", {}), Error);
  }
  EXPECT_TRUE(folder.names().empty());
}

TEST(Csv, ReadsQuotesLineEndsAndEmptyFields) {
  const CsvTable table = table_of(
      "\xef\xbb\xbf"
      "a,b\r\n1,\r\n\r\n\"x \"\"y\"\"\",\"2\r\n3\"\n,");
  EXPECT_THAT(table.header, ElementsAre("a", "b"));
  ASSERT_EQ(table.rows.size(), 3u);
  EXPECT_THAT(table.rows[0], ElementsAre("1", ""));
  EXPECT_THAT(table.rows[1], ElementsAre("x \"y\"", "2\r\n3"));
  EXPECT_THAT(table.rows[2], ElementsAre("", ""));
}

TEST(Csv, LoneEmptyFieldsSurvive) {
  const ScratchFolder folder;
  CsvWriter csv(folder / "a.csv", {"a"});
  csv.row({""});
  csv.row({"x"});
  csv.commit();
  EXPECT_EQ(read_csv(folder / "a.csv").rows.size(), 2u);
}

TEST(Csv, RefusesBrokenTables) {
  EXPECT_THAT(refusal(""), HasSubstr("empty file"));
  EXPECT_THAT(refusal("a,b\n1,2\n3\n"), HasSubstr("expected 2 fields in line 3, got 1"));
  EXPECT_THAT(refusal("a,b\n\"1\n2\",3\n4,5,6\n"), HasSubstr("expected 2 fields in line 4, got 3"));
  EXPECT_THAT(refusal("a,b\n1,\"2\n"), HasSubstr("quote of line 2 to be closed"));
  EXPECT_THAT(refusal("a,b\n\"1\"x,2\n"), HasSubstr("expected a comma after the quote in line 2"));
  EXPECT_THAT(refusal("a,a\n"), HasSubstr("two of a"));
  const CsvTable table = table_of("a,b\n1,x\n");
  EXPECT_THAT(message_of<DataError>([&] { table.column("c"); }), HasSubstr("expected a column c, got a, b"));
  EXPECT_THAT(message_of<DataError>([&] { table.numbers("b"); }), HasSubstr("numbers in column b, got x"));
  EXPECT_THROW(read_csv(io_fixture("none.csv")), DataError);
}

}  // namespace
}  // namespace clx::io
