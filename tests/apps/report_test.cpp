// clx-report: several models and seeds in one table.
#include <cmath>
#include <nlohmann/json.hpp>

#include "runtime/io/csv.h"
#include "tests/apps/tiny_run.h"

namespace clx {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

constexpr int kFailed = 1, kUsage = 2, kBadData = 3;

class Report : public ProgramTest {
 protected:
  // An evaluation of one column with these scores, of which those above `wrong` are of wrong predictions.
  void evaluation(const std::string& name,
                  const std::vector<double>& scores,
                  const std::string& protocol = "paper",
                  std::size_t wrong = 99) {
    const fs::path folder = root / name;
    fs::create_directories(folder);
    std::string csv = "idx,true,pred,GradCAM_PF_AUC\n";
    double sum = 0, n = 0;
    for (std::size_t i = 0; i < scores.size(); ++i) {
      csv += concat(i, ",1,", i < wrong ? 1 : 2, ",",
                    std::isnan(scores[i]) ? "nan" : std::to_string(scores[i]), "\n");
      if (i >= wrong || std::isnan(scores[i])) continue;
      sum += scores[i];
      ++n;
    }
    const nlohmann::json summary{
        {"protocol", protocol},
        {"dataset", "shapes"},
        {"model", "resnet20"},
        {"accuracy", 0.5},
        {"metrics",
         {{"GradCAM_PF_AUC",
           {{"method", "GradCAM"},
            {"metric", "PF_AUC"},
            {"population", wrong < 99 ? "correct" : "all"},
            {"mean", sum / n}}},
          {"p0", {{"method", ""}, {"metric", "p0"}, {"population", "all"}, {"mean", 1}}}}}};
    const std::string json = summary.dump();
    io::write_file(folder / "pf_scores.csv", csv.data(), csv.size());
    io::write_file(folder / "summary.json", json.data(), json.size());
  }
};

TEST_F(Report, MeansAreOverSeedsAndDifferencesOnTheSameImages) {
  evaluation("ce/seed0/eval", {0.1, 0.2, 0.3, 0.4});
  evaluation("ce/seed1/eval", {0.3, 0.4, 0.5, std::nan("")});
  evaluation("scl/seed0/eval", {0.5, 0.5, std::nan(""), 0.5});
  const Finished done = must("clx-report", {at("ce/seed0/eval"), at("ce/seed1/eval/"),
                                            "SupCon=" + at("scl/seed0/eval"), "--output-dir", at("report")});
  EXPECT_THAT(names_in(root / "report"),
              UnorderedElementsAre("differences.csv", "report.csv", "report.html", "report.md"));
  const io::CsvTable means = io::read_csv(root / "report/report.csv");
  EXPECT_THAT(means.rows[0], ElementsAre("ce", "GradCAM", "PF_AUC", testing::_, testing::_, "2"));
  EXPECT_NEAR(means.numbers("mean")[0], 0.325, 1e-12);  // of 0.25 and 0.4
  EXPECT_NEAR(means.numbers("std")[0], 0.15 / std::sqrt(2), 1e-12);
  EXPECT_EQ(means.rows[1][0], "SupCon");
  const io::CsvTable differences = io::read_csv(root / "report/differences.csv");
  ASSERT_EQ(differences.rows.size(), 1u);
  EXPECT_EQ(differences.numbers("images")[0], 2) << "images 0 and 1 have a score everywhere";
  EXPECT_NEAR(differences.numbers("mean")[0], (0.3 + 0.2) / 2, 1e-12);
  for (const char* part : {"ce (2)", "SupCon (1)", "0.3250 ± 0.1061", "SupCon − ce"}) {
    EXPECT_THAT(done.out, HasSubstr(part));
    EXPECT_THAT(text_of(root / "report/report.html"), HasSubstr(part));
  }
}

TEST_F(Report, CountsTheImagesThatTheSummaryCounts) {
  evaluation("a", {0.1, 0.2, 0.9}, "paper", 2);
  evaluation("b", {0.2, 0.3, 0.0}, "paper", 2);
  must("clx-report", {at("a"), at("b"), "--output-dir", at("report")});
  const io::CsvTable differences = io::read_csv(root / "report/differences.csv");
  EXPECT_EQ(differences.numbers("images")[0], 2);
  EXPECT_NEAR(differences.numbers("mean")[0], 0.1, 1e-9);
}

TEST_F(Report, RefusesWhatCannotStandInOneTable) {
  evaluation("a", {0.1});
  evaluation("b", {0.1}, "reference");
  const Arguments out{"--output-dir", at("report")};
  refuses("clx-report", out, kUsage, {"folders"});
  refuses("clx-report", out + Arguments{at("a"), at("b")}, kBadData,
          {"protocol reference", at("a"), "paper"});
  refuses("clx-report", out + Arguments{at("a"), "x=" + at("a")}, kUsage, {"named twice"});
  refuses("clx-report", out + Arguments{at("none")}, kBadData, {"none/summary.json"});
  io::write_file(root / "a/summary.json", "{}", 2);
  refuses("clx-report", out + Arguments{at("a")}, kBadData, {"a/summary.json", "summary of an evaluation"});
  evaluation("a", {0.1});
  fs::remove(root / "a/pf_scores.csv");
  refuses("clx-report", out + Arguments{at("a")}, kBadData, {at("a"), "GradCAM_PF_AUC"});
  evaluation("a", {0.1});
  must("clx-report", out + Arguments{at("a")});
  refuses("clx-report", out + Arguments{at("a")}, kFailed, {"holds results already", "--overwrite"});
  must("clx-report", out + Arguments{at("a"), "--overwrite"});
}

}  // namespace
}  // namespace clx
