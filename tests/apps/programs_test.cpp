// The programs on tiny data, as a user runs them: train, explain, evaluate, export.
#include <algorithm>
#include <cstdio>
#include <memory>
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
      if (file == "summary.json") {
        EXPECT_EQ(timeless_summary(text), timeless_summary(second[name]));
        continue;
      }
      if (file == "maps.npz") {
        expect_same_arrays(root / a / name, root / b / name);
        continue;
      }
      EXPECT_TRUE(text == second[name]) << name << " differs";
    }
  }

  // summary.json without what depends on the clock.
  static std::string timeless_summary(const std::string& text) {
    auto summary = nlohmann::ordered_json::parse(text);
    summary.erase("seconds");
    return summary.dump();
  }

  // But for the options that the file holds.
  static void expect_same_arrays(const fs::path& a, const fs::path& b) {
    const auto first = io::read_npz(a), second = io::read_npz(b);
    ASSERT_EQ(first.size(), second.size());
    for (const auto& [name, array] : first) {
      ASSERT_TRUE(second.contains(name)) << name;
      const Tensor& other = second.at(name);
      if (name == "config") continue;
      ASSERT_EQ(array.shape(), other.shape()) << name;
      const auto* bytes = static_cast<const char*>(array.view().data);
      const auto* others = static_cast<const char*>(other.view().data);
      EXPECT_TRUE(std::equal(bytes, bytes + array.bytes(), others)) << name;
    }
  }

  std::string metrics(const std::string& run) const { return text_of(root / (run + "/seed0/metrics.jsonl")); }
};

TEST_F(Programs, StartWithoutNvidiasLibraries) {
  for (const char* program : {"clx-train", "clx-eval", "clx-explain"}) {
    std::unique_ptr<FILE, int (*)(FILE*)> lines(
        ::popen(("ldd " + (tests::program_dir() / program).string()).c_str(), "r"), ::pclose);
    std::string needed;
    for (char line[1024]; std::fgets(line, sizeof line, lines.get());)
      needed += line;
    EXPECT_THAT(needed, HasSubstr("libc.so"));
    for (const char* library : {"libcuda", "libcudnn", "libcublas", "libnccl"})
      EXPECT_THAT(needed, testing::Not(HasSubstr(library))) << program;
  }
}

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
  for (const char* method : {"GradCAM", "EigenCAM"}) {
    EXPECT_EQ(maps.at(method).shape(), (Shape{5, 16, 16}));
    EXPECT_EQ(maps.at(concat(method, "_raw")).shape(), (Shape{5, 4, 4}));
    EXPECT_EQ(maps.at(concat(method, "_all_zero")).dtype(), DType::u8);
    EXPECT_EQ(maps.at(concat(method, "_opposed")).size(), 5);
    const std::vector<float> values = maps.at(method).to_host();
    EXPECT_TRUE(std::ranges::all_of(values, [](float v) { return v >= 0 && v <= 1; })) << method;
  }
  EXPECT_EQ(maps.at("idx").to_host<std::int64_t>(), (std::vector<std::int64_t>{0, 1, 2, 3, 4}));
  for (const auto& [array, column] :
       {std::pair{"labels", "true"}, {"predicted", "pred"}, {"target", "target"}}) {
    const auto classes = maps.at(array).to_host<std::int64_t>();
    EXPECT_EQ(std::vector<double>(classes.begin(), classes.end()), rows.numbers(column)) << array;
  }
  std::vector<std::string> overlays = names_in(folder / "overlays");
  EXPECT_EQ(overlays.size(), 15u);
  EXPECT_EQ(overlays[0], "img0000.png");
  EXPECT_TRUE(overlays[1].starts_with("img0000_") && overlays[1].ends_with("_EigenCAM.png")) << overlays[1];
  EXPECT_EQ(io::read_image(folder / "overlays" / overlays[1]).width, 128);
  const std::string page = text_of(folder / "index.html");
  for (const std::string& overlay : overlays)
    EXPECT_THAT(page, HasSubstr("src=\"overlays/" + overlay + "\""));
  const io::Image sheet = io::read_image(folder / "contact_sheet.png");
  EXPECT_GE(sheet.width, 3 * 128);
  EXPECT_GE(sheet.height, 2 * 128);
  EXPECT_LT(sheet.height, 3 * 128) << "two rows were asked for";
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
