// The run folder: layout, refusals that leave nothing behind, metrics across a resume.
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sstream>
#include <unistd.h>

#include "apps/support/run_folder.h"
#include "runtime/check.h"

namespace clx::app {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

class RunFolderTest : public testing::Test {
 protected:
  RunFolderTest() : root(fs::path(testing::TempDir()) / ("clx_run_" + std::to_string(getpid()))) {
    fs::remove_all(root);
    fs::create_directories(root);
  }
  ~RunFolderTest() override { fs::remove_all(root); }

  static std::string read(const fs::path& file) {
    std::ostringstream text;
    text << std::ifstream(file).rdbuf();
    return text.str();
  }
  static void write(const fs::path& file, const std::string& text) { std::ofstream(file) << text; }

  std::vector<std::string> names(const fs::path& folder) const {
    std::vector<std::string> all;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      all.push_back(fs::relative(entry.path(), folder).string());
    }
    std::sort(all.begin(), all.end());
    return all;
  }

  RunFolder make(IfRunExists if_exists = IfRunExists::refuse) const {
    return RunFolder(root / "demo", 3, "lr = 0.1\n", {"cpu", 2, {"clx-train", "--lr", "0.1"}}, if_exists);
  }

  fs::path root;
};

TEST_F(RunFolderTest, HasTheDocumentedFiles) {
  const RunFolder run = make();
  EXPECT_EQ(run.path(), root / "demo" / "seed3");
  EXPECT_EQ(names(root / "demo"),
            (std::vector<std::string>{"seed3", "seed3/checkpoints", "seed3/config.toml", "seed3/env.json"}));
  EXPECT_EQ(run.checkpoint("last"), root / "demo/seed3/checkpoints/last.safetensors");
  EXPECT_EQ(read(run.path() / "config.toml"), "lr = 0.1\n");
  const ordered_json env = ordered_json::parse(read(run.path() / "env.json"));
  EXPECT_EQ(env["command"], (std::vector<std::string>{"clx-train", "--lr", "0.1"}));
  EXPECT_EQ(env["device"], "cpu");
  EXPECT_EQ(env["threads"], 2);
  EXPECT_EQ(env["started"].get<std::string>().size(), 20u);
  for (const char* key : {"version", "build", "cpu"})
    EXPECT_FALSE(env[key].get<std::string>().empty()) << key;
}

TEST_F(RunFolderTest, RemovesWhatAProgramLeftThatWasKilledAtItsStart) {
  fs::create_directories(root / "demo/seed3/checkpoints");
  for (const char* left : {".config.toml.71-0.tmp", ".writable.71-1.tmp", "checkpoints/.writable.71-2.tmp"})
    write(root / "demo/seed3" / left, "");
  write(root / "demo/seed3/notes.tmp", "mine");
  make();
  EXPECT_EQ(names(root / "demo"), (std::vector<std::string>{"seed3", "seed3/checkpoints", "seed3/config.toml",
                                                            "seed3/env.json", "seed3/notes.tmp"}));
}

TEST_F(RunFolderTest, AppendsWholeMetricsLines) {
  const RunFolder run = make();
  run.append_metrics({{"epoch", 1}, {"loss", 0.5}});
  run.append_metrics({{"epoch", 2}, {"loss", std::nan("")}});
  EXPECT_EQ(read(run.metrics()), "{\"epoch\":1,\"loss\":0.5}\n{\"epoch\":2,\"loss\":null}\n");
}

TEST_F(RunFolderTest, KeepsMetricsUpToAnEpochAndDropsACutLine) {
  const RunFolder run = make();
  run.keep_metrics_until(5);
  EXPECT_FALSE(fs::exists(run.metrics()));
  for (int epoch = 1; epoch <= 4; ++epoch)
    run.append_metrics({{"epoch", epoch}});
  std::ofstream(run.metrics(), std::ios::app) << "{\"epoch\":1,\"lo";
  run.keep_metrics_until(2);
  EXPECT_EQ(read(run.metrics()), "{\"epoch\":1}\n{\"epoch\":2}\n");
  run.append_metrics({{"epoch", 3}});
  EXPECT_EQ(read(run.metrics()), "{\"epoch\":1}\n{\"epoch\":2}\n{\"epoch\":3}\n");
}

TEST_F(RunFolderTest, RefusesMetricsThatAreNone) {
  const RunFolder run = make();
  write(run.metrics(), "{\"epoch\":1}\nnonsense\n");
  EXPECT_THROW(run.keep_metrics_until(2), DataError);
  write(run.metrics(), "{\"loss\":1}\n");
  EXPECT_THROW(run.keep_metrics_until(2), DataError);
  EXPECT_EQ(read(run.metrics()), "{\"loss\":1}\n");
}

TEST_F(RunFolderTest, RefusesAFolderThatCannotBeWrittenAndLeavesNothing) {
  write(root / "file", "x");
  for (const fs::path& output :
       {root / "file" / "demo", fs::path("/proc/clx"), root / std::string(300, 'x') / "deep"}) {
    try {
      RunFolder run(output, 0, "", {});
      FAIL() << output;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(output.string()), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find("not writable"), std::string::npos) << error.what();
    }
  }
  // The outer folders can be made, the inner one cannot: the outer ones go again.
  EXPECT_THROW(RunFolder(root / "a" / "b" / std::string(300, 'x'), 0, "", {}), Error);
  EXPECT_EQ(names(root), (std::vector<std::string>{"file"}));
}

TEST_F(RunFolderTest, RefusesToWriteOverARunUnlessAsked) {
  const RunFolder first = make();
  first.append_metrics({{"epoch", 1}});
  write(first.checkpoint("last"), "weights");
  write(first.path() / "notes.txt", "mine");
  EXPECT_THROW(make(), Error);
  EXPECT_EQ(read(first.checkpoint("last")), "weights");
  make(IfRunExists::overwrite);
  EXPECT_FALSE(fs::exists(first.metrics()));
  EXPECT_FALSE(fs::exists(first.checkpoint("last")));
  EXPECT_EQ(read(first.path() / "notes.txt"), "mine") << "only the run's own files go";
}

TEST_F(RunFolderTest, ResumeKeepsConfigMetricsAndEarlierStarts) {
  EXPECT_THROW(make(IfRunExists::resume), Error);
  EXPECT_FALSE(fs::exists(root / "demo"));
  const RunFolder first = make();
  first.append_metrics({{"epoch", 1}});
  for (int i = 0; i < 2; ++i) {
    RunFolder(root / "demo", 3, "lr = 9\n", {"cpu", 1, {"again", std::to_string(i)}}, IfRunExists::resume);
  }
  EXPECT_EQ(read(first.path() / "config.toml"), "lr = 0.1\n");
  EXPECT_EQ(read(first.metrics()), "{\"epoch\":1}\n");
  const ordered_json env = ordered_json::parse(read(first.path() / "env.json"));
  EXPECT_EQ(env["command"][1], "1");
  ASSERT_EQ(env["earlier"].size(), 2u);
  EXPECT_EQ(env["earlier"][0]["command"][0], "clx-train");
  EXPECT_EQ(env["earlier"][1]["command"][1], "0");
}

TEST_F(RunFolderTest, FindRunTakesTheFolderOrItsOnlySeed) {
  EXPECT_THROW(find_run(root / "none"), Error);
  EXPECT_THROW(find_run(root), Error);
  const RunFolder run = make();
  EXPECT_EQ(find_run(root / "demo"), run.path());
  EXPECT_EQ(find_run(run.path()), run.path());
  RunFolder(root / "demo", 4, "", {});
  try {
    find_run(root / "demo");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("seed3, seed4"), std::string::npos) << error.what();
  }
}

TEST_F(RunFolderTest, MetricsThatDoNotFitTheDiskAreAnError) {
  const RunFolder run = make();
  fs::create_symlink("/dev/full", run.metrics());
  EXPECT_THROW(run.append_metrics({{"epoch", 1}}), Error);
}

}  // namespace
}  // namespace clx::app
