// clx-train --seeds … --concurrent: every run is the one that its seed makes alone, whatever happens to the
// others.
#include <csignal>
#include <nlohmann/json.hpp>
#include <regex>
#include <sys/resource.h>

#include "runtime/device.h"
#include "tests/apps/tiny_run.h"
#include "tests/nn/image_folder.h"

namespace clx {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr int kFailed = 1, kUsage = 2, kDiverged = 4, kOutOfMemory = 5, kStopped = 75;

class Concurrent : public ProgramTest {
 protected:
  Arguments tiny(const Arguments& more = {}) const {
    return kTinyTraining +
           Arguments{"--width", "0.1", "--train-samples", "48", "--test-samples", "10", "--epochs", "3",
                     "--lr",    "0.02"} +
           more;
  }
  Arguments into(const std::string& name) const { return {"--output-dir", at(name)}; }

  // The files of one seed's run that do not depend on time.
  std::map<std::string, std::string> lasting(const std::string& run, int seed) const {
    auto files = contents(root / run / concat("seed", seed));
    EXPECT_EQ(files.erase("env.json") + files.erase("timings.jsonl"), 2u) << run << ", seed " << seed;
    const auto config = files.find("config.toml");
    if (config != files.end())
      config->second = std::regex_replace(config->second, std::regex("output-dir = .*"), "");
    const auto probe = files.find("checkpoints/linear_classifier.json");
    if (probe != files.end())
      probe->second = std::regex_replace(probe->second, std::regex("\"seconds\":.*"), "");
    return files;
  }

  void expect_same_run(const std::string& a, const std::string& b, int seed) const {
    const auto first = lasting(a, seed), second = lasting(b, seed);
    EXPECT_EQ(first.size(), second.size()) << "seed " << seed;
    for (const auto& [name, text] : first)
      EXPECT_TRUE(second.contains(name) && second.at(name) == text) << "seed " << seed << ": " << name;
  }
};

struct Case {
  const char* name;
  Arguments options;
};

class ConcurrentRuns : public Concurrent, public testing::WithParamInterface<Case> {};

INSTANTIATE_TEST_SUITE_P(
    Cases,
    ConcurrentRuns,
    testing::Values(Case{"ce", {}},
                    Case{"ce_bf16_on_five_threads", {"--precision", "bf16", "--threads", "5"}},
                    Case{"supcon", {"--loss", "supcon", "--optimizer", "radam", "--probe-epochs", "5"}},
                    Case{"triplet",
                         {"--loss", "triplet", "--sampler", "pk", "--classes-per-batch", "4", "--probe",
                          "minibatch", "--probe-epochs", "2"}},
                    Case{"cuda", {"--device", "cuda", "--epochs", "4", "--train-samples", "320"}},
                    Case{"emulated",
                         {"--device", "emulated", "--train-samples", "12", "--batch-size", "4",
                          "--test-samples", "4", "--epochs", "1", "--width", "0.07", "--graph", "on",
                          "--precision", "bf16"}}),
    [](const auto& info) { return std::string(info.param.name); });

TEST_P(ConcurrentRuns, HaveTheBitsOfRunsInTurn) {
  if (std::string(GetParam().name) == "cuda" && !available(DeviceKind::cuda))
    GTEST_SKIP() << "needs a GPU and a build with kernels for it";
  const Arguments options = tiny(GetParam().options) + Arguments{"--seeds", "0,2-3"};
  const Finished in_turn = must("clx-train", options + into("turn"));
  const Finished at_once = must("clx-train", options + into("once") + Arguments{"--concurrent"});
  for (const int seed : {0, 2, 3})
    expect_same_run("turn", "once", seed);
  EXPECT_NE(lasting("once", 0).at("metrics.jsonl"), lasting("once", 2).at("metrics.jsonl"));
  EXPECT_EQ(text_of(root / "once/summary.json"), text_of(root / "turn/summary.json"));
  EXPECT_THAT(at_once.out, HasSubstr(in_turn.out.substr(in_turn.out.find("3 runs:"))));
}

TEST_F(Concurrent, ImagesThatAreReadAreReadByEach) {
  tests::write_photos(root / "photos", 8);
  const Arguments options = tiny({"--dataset", "folder", "--data-dir", at("photos"), "--batch-size", "6",
                                  "--workers", "2", "--seeds", "0-3"});
  must("clx-train", options + into("turn"));
  must("clx-train", options + into("once") + Arguments{"--concurrent"});
  for (const int seed : {0, 1, 2, 3})
    expect_same_run("turn", "once", seed);
}

TEST_F(Concurrent, EveryLineSaysWhoseItIs) {
  Arguments options = tiny({"--seeds", "0-2", "--concurrent", "--log-interval", "1"});
  std::erase(options, "--quiet");
  const Finished done = must("clx-train", options + into("run"));
  const auto lines = [](const std::string& text) {
    std::vector<std::string> all;
    std::istringstream rest(text);
    for (std::string line; std::getline(rest, line);)
      all.push_back(line);
    return all;
  };
  const std::vector<std::string> out = lines(done.out);
  ASSERT_EQ(out.size(), 3u * (2 + 3 + 1) + 1) << done.out;
  EXPECT_THAT(out.back(), testing::StartsWith("3 runs: "));
  for (const int seed : {0, 1, 2}) {
    std::vector<std::string> own;
    for (const std::string& line : out)
      if (line.starts_with(concat("seed ", seed, ": "))) own.push_back(line.substr(8));
    ASSERT_EQ(own.size(), 6u) << done.out;
    EXPECT_THAT(own[0], HasSubstr("48 training and 10 test images"));
    EXPECT_THAT(own[1], HasSubstr("parameters, on cpu, 1 threads"));
    EXPECT_THAT(own[4], testing::StartsWith("epoch   3  lr "));
    EXPECT_EQ(own[5], concat("run folder: ", at(concat("run/seed", seed))));
  }
  EXPECT_EQ(lines(done.err).size(), 9u) << done.err;
  for (const std::string& line : lines(done.err))
    EXPECT_THAT(line, testing::ContainsRegex("^seed [012]: epoch [123]/3  100 %  48/48 images"));
}

TEST_F(Concurrent, AStopSavesAllAndTheNextCommandGoesOn) {
  const Arguments options = tiny({"--epochs", "12", "--seeds", "0-2"});
  must("clx-train", options + into("turn"));
  RunningProgram program("clx-train", options + into("once") + Arguments{"--concurrent"});
  ASSERT_TRUE(program.wait_for("epoch   2"));
  program.send(SIGTERM);
  const Finished stopped = program.finish();
  EXPECT_EQ(stopped.code, kStopped);
  for (const int seed : {0, 1, 2}) {
    EXPECT_THAT(stopped.err, HasSubstr(concat("seed ", seed, ": stopped in epoch ")));
    EXPECT_TRUE(fs::exists(root / concat("once/seed", seed, "/checkpoints/last.state.safetensors")));
    EXPECT_FALSE(fs::exists(root / concat("once/seed", seed, "/checkpoints/final.safetensors")));
  }
  EXPECT_THAT(stopped.err, Not(HasSubstr("error")));
  EXPECT_FALSE(fs::exists(root / "once/summary.json"));
  // One of them alone, the rest at once.
  must("clx-train", into("once") + Arguments{"--resume", "--seed", "1"});
  const Finished done = must("clx-train", options + into("once") + Arguments{"--concurrent", "--resume"});
  EXPECT_THAT(done.out, AllOf(HasSubstr("seed1: finished already"), HasSubstr("seed 0: resumed after "),
                              HasSubstr("seed 2: resumed after ")));
  for (const int seed : {0, 1, 2})
    expect_same_run("turn", "once", seed);
  EXPECT_EQ(text_of(root / "once/summary.json"), text_of(root / "turn/summary.json"));
}

TEST_F(Concurrent, ARunThatDivergesLeavesTheOthersAlone) {
  // The weights grow from step to step until the last ones are too large: a learning rate at which they do
  // for one seed and do not for the other, found by halving.
  const auto options = [&](double lr) {
    return tiny({"--epochs", "6", "--weight-decay", "1", "--momentum", "0", "--lr", concat(lr)});
  };
  double below = 1, above = 10, lr = 0;
  std::vector<int> codes;
  for (int halving = 0; halving < 50; ++halving) {
    lr = (below + above) / 2;
    codes.clear();
    for (const char* seed : {"0", "1"})
      codes.push_back(
          run_program("clx-train", options(lr) + into("turn") + Arguments{"--overwrite", "--seed", seed})
              .code);
    if (codes[0] != codes[1]) break;
    (codes[0] == 0 ? below : above) = lr;
  }
  ASSERT_THAT(codes, testing::UnorderedElementsAre(0, kDiverged)) << "no such learning rate";
  const int bad = codes[0] == kDiverged ? 0 : 1, good = 1 - bad;
  const Finished done =
      run_program("clx-train", options(lr) + into("once") + Arguments{"--seeds", "0-1", "--concurrent"});
  EXPECT_EQ(done.code, kDiverged);
  EXPECT_THAT(done.err, HasSubstr(concat("error: seed ", bad, ": train: ")));
  EXPECT_THAT(done.err, testing::EndsWith(concat("error: seeds that failed: ", bad, "\n")));
  EXPECT_THAT(done.out, Not(HasSubstr("2 runs")));
  expect_same_run("turn", "once", good);
  expect_same_run("turn", "once", bad);
}

TEST_F(Concurrent, ARunThatCannotWriteLeavesTheOthersAlone) {
  must("clx-train", tiny({"--seed", "2"}) + into("turn"));
  fs::create_directories(root / "once/seed1");
  io::write_file(root / "once/seed1/checkpoints", "", 0);
  const Arguments at_once = tiny({"--seeds", "0-2", "--concurrent"}) + into("once");
  const Finished done = run_program("clx-train", at_once);
  EXPECT_EQ(done.code, kFailed);
  EXPECT_THAT(done.err, AllOf(HasSubstr("error: seed 1: output folder " + at("once/seed1/checkpoints")),
                              testing::EndsWith("error: seeds that failed: 1\n")));
  expect_same_run("turn", "once", 2);
  fs::remove(root / "once/seed1/checkpoints");
  EXPECT_THAT(must("clx-train", at_once).out, HasSubstr("3 runs: "));
}

TEST_F(Concurrent, AFullDiskLeavesNoRunInPart) {
  const Finished done = run_program("clx-train", tiny({"--seeds", "0-1", "--concurrent"}) + into("run"), [] {
    const rlimit limit{5000, 5000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    ::signal(SIGXFSZ, SIG_IGN);
  });
  EXPECT_EQ(done.code, kFailed);
  EXPECT_THAT(done.err, testing::EndsWith("error: seeds that failed: 0, 1\n"));
  for (const int seed : {0, 1}) {
    const std::string folder = concat("run/seed", seed);
    EXPECT_THAT(done.err,
                HasSubstr(concat("error: seed ", seed, ": writing ", at(folder), "/checkpoints/best")));
    EXPECT_THAT(names_in(root / folder),
                testing::UnorderedElementsAre("checkpoints", "config.toml", "env.json"));
  }
}

TEST_F(Concurrent, OutOfMemoryLosesNothingAndInTurnItSuffices) {
  if (!kCanLimitMemory) GTEST_SKIP() << "a sanitizer needs all of it";
  const Arguments options = tiny({"--image-size", "32", "--train-samples", "128", "--batch-size", "128",
                                  "--width", "1", "--device", "cpu", "--threads", "2", "--seeds", "0-1"});
  must("clx-train", options + into("turn"));
  RunningProgram program("clx-train", options + into("once") + Arguments{"--concurrent"});
  ASSERT_TRUE(program.wait_for("epoch   1"));
  program.send(SIGTERM);
  ASSERT_EQ(program.finish().code, kStopped);
  const auto saved = [&](int seed) { return contents(root / concat("once/seed", seed, "/checkpoints")); };
  const std::map before{std::pair{0, saved(0)}, std::pair{1, saved(1)}};
  const auto little_memory = [] { limit_memory(460 << 20); };  // enough for one run, of 370 MiB
  const Finished failed =
      run_program("clx-train", options + into("once") + Arguments{"--concurrent"}, little_memory);
  EXPECT_EQ(failed.code, kOutOfMemory) << failed.err;
  EXPECT_THAT(failed.err,
              testing::ContainsRegex("error: seeds that failed: [01, ]+; the same command without "
                                     "--concurrent goes on with them and needs less memory\n$"));
  int failures = 0;
  for (const int seed : {0, 1}) {  // both, if each asked before the other gave back what it had
    const std::string line = concat("error: seed ", seed, ": out of memory");
    if (failed.err.find(line) == std::string::npos) continue;
    ++failures;
    EXPECT_THAT(failed.err,  // for a tensor, or for something else
                testing::ContainsRegex(line + "( of cpu: expected [0-9.]+ MiB more beside the .*)?; "
                                              "a lower --batch-size"));
    EXPECT_TRUE(saved(seed) == before.at(seed)) << "seed " << seed;
  }
  EXPECT_GE(failures, 1) << failed.err;
  const Finished done = run_program("clx-train", options + into("once"), little_memory);
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_THAT(done.out, HasSubstr("resumed after "));
  for (const int seed : {0, 1})
    expect_same_run("turn", "once", seed);
}

TEST_F(Concurrent, IsForSeveralSeedsOfOneProcessEach) {
  const auto refused = [&](const Arguments& options, const std::string& part) {
    refuses("clx-train", tiny(options) + into("run") + Arguments{"--concurrent"}, kUsage, {part});
  };
  refused({}, "concurrent: expected several runs, which --seeds names, got one");
  refused({"--seeds", "0-1", "--processes", "2"}, "concurrent: expected runs of one process each, got 2");
  train("started");
  refuses("clx-train", tiny({"--seeds", "0-1", "--concurrent", "--lr", "0.5"}) + into("started"), kUsage,
          {"seed0 was started with", "lr"});
}

}  // namespace
}  // namespace clx
