// The programs on tiny data, as a user runs them: train, explain, evaluate, export.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "runtime/io/csv.h"
#include "runtime/io/image.h"
#include "runtime/io/npz.h"
#include "runtime/io/safetensors.h"
#include "tests/apps/tiny_run.h"

namespace clx {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

class Programs : public ProgramTest {
 protected:
  void explain(const std::string& name, const Arguments& more = {}) {
    must("clx-explain",
         Arguments{"--run", at("run"), "--output-dir", at(name), "--limit", "5", "--threads", "1"} + more);
  }
  Finished evaluate(const std::string& name, const Arguments& more = {}) {
    return must(
        "clx-eval",
        Arguments{"--run", at("run"), "--output-dir", at(name), "--limit", "12", "--threads", "1"} + more);
  }

  // The files of two folders that a second run must repeat bit by bit. Configurations and clocks may differ.
  void expect_same_files(const std::string& a, const std::string& b) {
    auto first = contents(root / a), second = contents(root / b);
    EXPECT_EQ(names_in(root / a), names_in(root / b));
    for (const auto& [name, text] : first) {
      const std::string file = fs::path(name).filename().string();
      if (file == "config.toml" || file == "env.json" || file == "timings.jsonl") continue;
      EXPECT_TRUE(text == second[name]) << name << " differs";
    }
  }

  std::string metrics(const std::string& run) const { return text_of(root / (run + "/seed0/metrics.jsonl")); }
};

TEST_F(Programs, TrainWritesARunFolder) {
  const Finished done = must("clx-train", kTinyTraining + Arguments{"--output-dir", at("run")});
  EXPECT_THAT(
      names_in(root / "run/seed0"),
      UnorderedElementsAre("checkpoints", "checkpoints/best.safetensors", "checkpoints/final.safetensors",
                           "checkpoints/last.safetensors", "checkpoints/last.state.safetensors",
                           "config.toml", "env.json", "metrics.jsonl", "timings.jsonl"));
  EXPECT_THAT(done.out, HasSubstr("64 training and 48 test images of 16×16"));
  EXPECT_EQ(done.err, "");
  const auto line = nlohmann::json::parse(text_of(root / "run/seed0/metrics.jsonl"));
  EXPECT_EQ(line["epoch"], 0);
  EXPECT_EQ(line["step"], 4);
  EXPECT_GT(line["train_loss"].get<double>(), 0);
  const auto env = nlohmann::json::parse(text_of(root / "run/seed0/env.json"));
  EXPECT_EQ(env["command"][0], "clx-train");
  EXPECT_EQ(env["threads"], 1);
  const io::SafeTensors file = io::read_safetensors(root / "run/seed0/checkpoints/final.safetensors");
  EXPECT_EQ(file.metadata.at("arch"), "resnet20");
  EXPECT_EQ(file.tensors.at("conv1.weight").shape(), (Shape{4, 3, 3, 3}));
}

TEST_F(Programs, TheSavedConfigurationRepeatsTheRunInAnyNumberOfThreads) {
  train("run");
  must("clx-train", {"--config", at("run/seed0/config.toml"), "--output-dir", at("again")});
  must("clx-train",
       {"--config", at("run/seed0/config.toml"), "--output-dir", at("threads"), "--threads", "2"});
  train("other", {"--seed", "0", "--lr", "0.05"});
  expect_same_files("run", "again");
  expect_same_files("run", "threads");
  EXPECT_EQ(metrics("run"), metrics("again"));
  EXPECT_EQ(metrics("run"), metrics("threads"));
  EXPECT_FALSE(contents(root / "run/seed0/checkpoints") == contents(root / "other/seed0/checkpoints"));
}

TEST_F(Programs, OverwriteReplacesARunThatIsThere) {
  train("run");
  const std::string before = text_of(root / "run/seed0/checkpoints/final.safetensors");
  train("run", {"--overwrite", "--lr", "0.05"});
  EXPECT_NE(text_of(root / "run/seed0/checkpoints/final.safetensors"), before);
  EXPECT_THAT(text_of(root / "run/seed0/config.toml"), HasSubstr("lr = 0.05"));
}

TEST_F(Programs, ExplainWritesPicturesMapsAndPredictions) {
  train("run");
  explain("explanations", {"--sheet-rows", "2"});
  const fs::path folder = root / "explanations";
  const io::CsvTable rows = io::read_csv(folder / "predictions.csv");
  EXPECT_THAT(rows.header, ElementsAre("idx", "true", "pred", "target"));
  EXPECT_THAT(rows.numbers("idx"), ElementsAre(0, 1, 2, 3, 4));
  EXPECT_EQ(rows.numbers("pred"), rows.numbers("target"));
  const auto maps = io::read_npz(folder / "maps.npz");
  ASSERT_EQ(maps.size(), 2u);
  for (const char* method : {"GradCAM", "EigenCAM"}) {
    EXPECT_EQ(maps.at(method).shape(), (Shape{5, 16, 16}));
    const std::vector<float> values = maps.at(method).to_host();
    EXPECT_TRUE(std::ranges::all_of(values, [](float v) { return v >= 0 && v <= 1; })) << method;
  }
  std::vector<std::string> overlays = names_in(folder / "overlays");
  EXPECT_EQ(overlays.size(), 10u);
  EXPECT_TRUE(overlays[0].starts_with("img0000_") && overlays[0].ends_with("_EigenCAM.png")) << overlays[0];
  EXPECT_EQ(io::read_image(folder / "overlays" / overlays[0]).width, 128);
  const io::Image sheet = io::read_image(folder / "contact_sheet.png");
  EXPECT_GE(sheet.width, 3 * 128);
  EXPECT_GE(sheet.height, 2 * 128);
  EXPECT_LT(sheet.height, 3 * 128) << "two rows were asked for";
}

TEST_F(Programs, EvalWritesTheDocumentedTables) {
  train("run");
  const Finished done = evaluate("scores");
  const fs::path folder = root / "scores";
  EXPECT_THAT(
      names_in(folder),
      UnorderedElementsAre("EigenCAM_AL_scores.csv", "EigenCAM_PG_scores.csv", "GradCAM_AL_scores.csv",
                           "GradCAM_PG_scores.csv", "RandomMap_AL_scores.csv", "RandomMap_PG_scores.csv",
                           "complexity_scores.csv", "config.toml", "pf_curves.npz", "pf_scores.csv",
                           "sparseness_scores.csv", "summary.json"));
  const io::CsvTable pf = io::read_csv(folder / "pf_scores.csv");
  EXPECT_THAT(pf.header, ElementsAre("idx", "true", "pred", "GradCAM_PF_AUC", "EigenCAM_PF_AUC",
                                     "RandomMap_PF_AUC", "p0", "GradCAM_PF_AUC_over_p0",
                                     "EigenCAM_PF_AUC_over_p0", "RandomMap_PF_AUC_over_p0"));
  EXPECT_THAT(io::read_csv(folder / "complexity_scores.csv").header,
              ElementsAre("idx", "true", "pred", "GradCAM_Complexity", "EigenCAM_Complexity",
                          "RandomMap_Complexity"));
  EXPECT_THAT(io::read_csv(folder / "sparseness_scores.csv").header,
              ElementsAre("idx", "true", "pred", "GradCAM_Sparseness", "EigenCAM_Sparseness",
                          "RandomMap_Sparseness"));
  EXPECT_THAT(io::read_csv(folder / "GradCAM_PG_scores.csv").header, ElementsAre("GradCAM_PG"));
  for (const std::string& name : names_in(folder))
    EXPECT_TRUE(!name.ends_with(".csv") || io::read_csv(folder / name).rows.size() == 12) << name;
  const std::vector<double> auc = pf.numbers("GradCAM_PF_AUC"), p0 = pf.numbers("p0");
  const std::vector<double> over = pf.numbers("GradCAM_PF_AUC_over_p0");
  for (std::size_t i = 0; i < auc.size(); ++i)
    EXPECT_DOUBLE_EQ(over[i], auc[i] / p0[i]);
  const auto curves = io::read_npz(folder / "pf_curves.npz");
  ASSERT_EQ(curves.size(), 3u);
  EXPECT_EQ(curves.at("GradCAM").dim(0), 12);
  EXPECT_GE(curves.at("GradCAM").dim(1), 16);
  const auto summary = nlohmann::json::parse(text_of(folder / "summary.json"));
  EXPECT_EQ(summary["images"], 12);
  EXPECT_EQ(summary["layer"], "layer3.2");
  double mean = 0;
  for (const double value : auc)
    mean += value / static_cast<double>(auc.size());
  EXPECT_NEAR(summary["metrics"]["GradCAM_PF_AUC"]["mean"].get<double>(), mean, 1e-12);
  for (const char* word : {"GradCAM", "EigenCAM", "RandomMap", "PF_AUC", "Complexity"})
    EXPECT_THAT(done.out, HasSubstr(word));
}

TEST_F(Programs, AllProgramsSeeTheSameImagesAndPredictions) {
  train("run");
  explain("explanations");
  evaluate("scores", {"--metric", "complexity"});
  must("clx-data", {"export", "--image-size", "16", "--test-samples", "5", "--output-dir", at("shapes")});
  const io::CsvTable explained = io::read_csv(root / "explanations/predictions.csv");
  const io::CsvTable scored = io::read_csv(root / "scores/complexity_scores.csv");
  EXPECT_EQ(explained.numbers("true"), io::read_csv(root / "shapes/labels.csv").numbers("label"));
  std::int64_t correct = 0;
  for (const auto& row : scored.rows)
    correct += row[1] == row[2];
  for (const char* column : {"idx", "true", "pred"}) {
    std::vector<double> first = scored.numbers(column);
    EXPECT_NE(scored.numbers("true"), scored.numbers("pred"));
    first.resize(5);
    EXPECT_EQ(first, explained.numbers(column)) << column;
  }
  const auto summary = nlohmann::json::parse(text_of(root / "scores/summary.json"));
  EXPECT_DOUBLE_EQ(summary["accuracy"].get<double>(), static_cast<double>(correct) / 12);
}

TEST_F(Programs, ScoresAndMapsDependNeitherOnTheBatchNorOnThreads) {
  train("run");
  evaluate("scores");
  evaluate("again");
  evaluate("batches", {"--batch-size", "5", "--threads", "2"});
  evaluate("single", {"--batch-size", "1"});
  for (const char* other : {"again", "batches", "single"})
    expect_same_files("scores", other);
  explain("maps");
  explain("maps_batches", {"--batch-size", "2", "--threads", "2"});
  expect_same_files("maps", "maps_batches");
}

TEST_F(Programs, TheControlCanBeLeftOutAndMetricsChosen) {
  train("run");
  evaluate("scores", {"--no-control", "--metric", "complexity", "--method", "eigen-cam"});
  EXPECT_THAT(names_in(root / "scores"),
              UnorderedElementsAre("complexity_scores.csv", "config.toml", "summary.json"));
  EXPECT_THAT(io::read_csv(root / "scores/complexity_scores.csv").header,
              ElementsAre("idx", "true", "pred", "EigenCAM_Complexity"));
}

TEST_F(Programs, DataExportsImagesMasksAndLabels) {
  must("clx-data",
       {"export", "--image-size", "16", "--test-samples", "7", "--output-dir", at("shapes"), "--quiet"});
  const io::CsvTable labels = io::read_csv(root / "shapes/labels.csv");
  EXPECT_THAT(labels.header, ElementsAre("file", "class", "label"));
  ASSERT_EQ(labels.rows.size(), 7u);
  for (const auto& row : labels.rows) {
    const io::Image image = io::read_image(root / "shapes" / row[0]);
    EXPECT_EQ(image.width, 16);
    EXPECT_EQ(image.channels, 3);
    EXPECT_EQ(row[0].find("images/" + row[1] + "/"), 0u) << row[0];
    EXPECT_TRUE(fs::exists(root / "shapes/masks" / fs::path(row[0]).lexically_relative("images"))) << row[0];
  }
  const Finished done =
      must("clx-data", {"verify", "--image-size", "16", "--test-samples", "7", "--train-samples", "20"});
  EXPECT_THAT(done.out, HasSubstr("shapes train: 20 images of 16×16"));
  EXPECT_THAT(done.out, HasSubstr("shapes test: 7 images of 16×16"));
  EXPECT_THAT(done.out, HasSubstr("with masks"));
}

TEST_F(Programs, EveryProgramHasHelpVersionAndAConfigurationToPrint) {
  for (const char* program : {"clx-train", "clx-explain", "clx-eval", "clx-data"}) {
    EXPECT_THAT(must(program, {"--help"}).out, HasSubstr("Exit codes"));
    EXPECT_THAT(must(program, {"--version"}).out, HasSubstr(program));
    const std::string config = must(program, {"--print-config"}).out;
    EXPECT_THAT(config, HasSubstr("dataset = \"shapes\""));
    io::write_file(root / "config.toml", config.data(), config.size());
    EXPECT_EQ(must(program, {"--print-config", "--config", at("config.toml")}).out, config);
  }
}

}  // namespace
}  // namespace clx
