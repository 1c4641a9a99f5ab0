// The programs with --device cuda, linked with a stand-in for CUDA's runtime (tests/stand_in/gpu.h): the
// host's code as it is on a GPU, the kernels as nvcc compiled them.
#include <csignal>
#include <nlohmann/json.hpp>

#include "runtime/io/csv.h"
#include "tests/apps/tiny_run.h"

namespace clx {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr int kUsage = 2, kOutOfMemory = 5, kStopped = 75;

#ifdef CLX_CUDA

using Variables = std::map<std::string, std::string>;

// Interpreting PTX takes a second per step.
const Arguments kTiny = kTinyTraining + Arguments{"--width",      "0.07", "--train-samples", "8",
                                                  "--batch-size", "4",    "--test-samples",  "2",
                                                  "--lr",         "0.02"};
const Arguments kFast{"--precision", "bf16"};

class Gpu : public ProgramTest {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(tests::program_dir() / "stand_in"))
      GTEST_SKIP() << "needs the programs with a stand-in for CUDA's runtime";
  }
  static Finished on_gpu(const std::string& program,
                         const Arguments& arguments,
                         const Variables& variables = {}) {
    return run_program("stand_in/" + program, arguments, [&] {
      for (const auto& [name, value] : variables)
        ::setenv(name.c_str(), value.c_str(), 1);
    });
  }
  static Finished must_on_gpu(const std::string& program,
                              const Arguments& arguments,
                              const Variables& variables = {}) {
    const Finished result = on_gpu(program, arguments, variables);
    EXPECT_EQ(result.code, 0) << program << ": " << result.err;
    EXPECT_THAT(result.err, testing::Not(HasSubstr("stand-in for a GPU: ")));
    return result;
  }
  Finished train_on_gpu(const std::string& name,
                        const Arguments& more = {},
                        const Variables& variables = {}) {
    return must_on_gpu("clx-train", kTiny + Arguments{"--output-dir", at(name), "--device", "cuda"} + more,
                       variables);
  }
  double loss(const std::string& name) const {
    return json::parse(text_of(root / name / "seed0/metrics.jsonl"))["train_loss"].get<double>();
  }
  std::string weights(const std::string& name, int seed = 0) const {
    return text_of(root / name / concat("seed", seed, "/checkpoints/final.safetensors"));
  }
};

TEST_F(Gpu, TrainsLikeTheCpu) {
  for (const char* precision : {"f32", "bf16"}) {
    const std::string gpu = concat("gpu_", precision), cpu = concat("cpu_", precision);
    train_on_gpu(gpu, {"--precision", precision});
    must("clx-train",
         kTiny + Arguments{"--output-dir", at(cpu), "--precision", precision, "--device", "cpu"});
    EXPECT_NEAR(loss(gpu), loss(cpu), precision == std::string("f32") ? 1e-4 : 2e-2);
  }
}

TEST_F(Gpu, GraphsHaveTheBitsOfSingleLaunches) {
  const Arguments options = kFast + Arguments{"--train-samples", "16"};
  train_on_gpu("captured", options + Arguments{"--graph", "on"});
  train_on_gpu("single", options + Arguments{"--graph", "off"});
  EXPECT_TRUE(weights("captured") == weights("single"));
}

TEST_F(Gpu, EvaluatesAndExplainsLikeTheCpu) {
  train("run", {"--width", "0.07"});
  const Arguments options{"--run", at("run"), "--limit", "2", "--threads", "1"};
  const auto both = [&](const std::string& program, const Arguments& more) {
    must_on_gpu(program,
                options + more + Arguments{"--device", "cuda", "--output-dir", at(program + "_gpu")});
    must(program, options + more + Arguments{"--device", "cpu", "--output-dir", at(program + "_cpu")});
  };
  both("clx-eval", {"--pf-step", "64"});
  const auto metrics = [&](const std::string& on) {
    return json::parse(text_of(root / ("clx-eval_" + on) / "summary.json"))["metrics"];
  };
  const json cpu = metrics("cpu"), gpu = metrics("gpu");
  ASSERT_EQ(cpu.size(), gpu.size());
  for (const auto& [name, value] : cpu.items()) {
    if (!value["mean"].is_number() || name.ends_with("_PG")) continue;  // a hit or none
    EXPECT_NEAR(gpu[name]["mean"].get<double>(), value["mean"].get<double>(), 1e-3) << name;
  }
  both("clx-explain", {});
  EXPECT_EQ(names_in(root / "clx-explain_gpu"), names_in(root / "clx-explain_cpu"));
}

TEST_F(Gpu, SeedsAtOnceHaveTheBitsOfSeedsInTurn) {
  const Arguments seeds = kFast + Arguments{"--seeds", "0-1"};
  train_on_gpu("turn", seeds);
  train_on_gpu("once", seeds + Arguments{"--concurrent"});
  for (const int seed : {0, 1})
    EXPECT_TRUE(weights("turn", seed) == weights("once", seed)) << "seed " << seed;
}

TEST_F(Gpu, ASecondGpuHasTheBitsOfTheFirst) {
  train_on_gpu("first", kFast);
  train_on_gpu("second", kFast + Arguments{"--device", "cuda:1"}, {{"CLX_STAND_IN_GPUS", "2"}});
  EXPECT_TRUE(weights("first") == weights("second"));
}

// Those of all convolutions but the first, which has three channels, come with their results.
TEST_F(Gpu, ATrainingStepReadsOneLayerForItsStatistics) {
  on_gpu("clx-train",
         kTiny + kFast +
             Arguments{"--arch", "resnet18-cifar", "--width", "1", "--graph", "off", "--device", "cuda",
                       "--output-dir", at("run")},
         {{"CLX_STAND_IN_LOG", at("log")}});
  int statistics = 0, updates = 0;
  std::istringstream log(text_of(root / "log"));
  for (std::string line; std::getline(log, line);) {
    statistics += line.find("::statistics_kernel<") != std::string::npos;
    updates += line.find("::sgd_kernel(") != std::string::npos;
  }
  EXPECT_EQ(updates, 2) << "steps";
  EXPECT_EQ(statistics, updates);
}

// Each of two GPUs has half of every batch; batch normalisation is over the whole (--sync-bn).
TEST_F(Gpu, TwoProcessesOverNcclTrainLikeOne) {
  const std::filesystem::path nccl = tests::program_dir() / "libclx_fake_nccl.so";
  if (!std::filesystem::exists(nccl)) GTEST_SKIP() << "NCCL's header was not found when this was built";
  const Arguments options{"--loss", "supcon", "--sync-bn", "--probe", "none"};
  train_on_gpu("one", options);
  train_on_gpu("two", options + Arguments{"--processes", "2"},
               {{"CLX_STAND_IN_GPUS", "2"}, {"CLX_NCCL", nccl.string()}});
  EXPECT_NEAR(loss("two"), loss("one"), 1e-4);
}

TEST_F(Gpu, OutOfMemoryNamesWhatIsMissingAndLosesNothing) {
  const Arguments run{"--output-dir", at("run"), "--device", "cuda", "--epochs", "3"};
  RunningProgram first("stand_in/clx-train", kTiny + kFast + run);
  ASSERT_TRUE(first.wait_for("epoch   1"));
  first.send(SIGTERM);
  ASSERT_EQ(first.finish().code, kStopped);
  const auto saved = contents(root / "run/seed0/checkpoints");
  const Variables little{{"CLX_STAND_IN_MEMORY", "600000"}};
  const auto message = testing::ContainsRegex(
      "error: out of memory of cuda:0: expected [0-9.]+ KiB more beside the [0-9.]+ KiB of other tensors, "
      "got [0-9.]+ KiB; a lower --batch-size or --image-size needs less");
  const Finished failed = on_gpu("clx-train", {"--output-dir", at("run"), "--resume"}, little);
  EXPECT_EQ(failed.code, kOutOfMemory) << failed.err;
  EXPECT_THAT(failed.err, message);
  // Steps are queued: the signal may come after the last of an epoch, whose scores need less memory.
  const bool scored = failed.out.find("epoch   2") != std::string::npos;
  EXPECT_TRUE(scored || contents(root / "run/seed0/checkpoints") == saved) << failed.out;
  const Finished unscored =
      on_gpu("clx-eval", {"--run", at("run"), "--device", "cuda", "--output-dir", at("scores")}, little);
  EXPECT_EQ(unscored.code, kOutOfMemory) << unscored.err;
  EXPECT_THAT(unscored.err, message);
  EXPECT_THAT(names_in(root / "scores"), testing::IsEmpty());
  EXPECT_THAT(must_on_gpu("clx-train", {"--output-dir", at("run"), "--resume"}).out,
              HasSubstr("resumed after "));
}

TEST_F(Gpu, OneThatNothingWasCompiledForIsNamed) {
  const Arguments options = kTiny + Arguments{"--output-dir", at("run")};
  const Variables old{{"CLX_STAND_IN_CAPABILITY", "75"}};
  const Finished refused = on_gpu("clx-train", options + Arguments{"--device", "cuda"}, old);
  EXPECT_EQ(refused.code, kUsage);
  EXPECT_THAT(refused.err,
              testing::ContainsRegex("error: device: expected a GPU that this program was compiled "
                                     "for \\(.*\\), got stand-in for a GPU of compute capability "
                                     "7.5, and the kernels need 8.0 or later"));
  EXPECT_FALSE(std::filesystem::exists(root / "run"));
  EXPECT_EQ(on_gpu("clx-train", options + Arguments{"--device", "auto"}, old).code, 0) << "on the CPU";
}

TEST_F(Gpu, OneThatIsNotThereIsNamed) {
  const Arguments options = kTiny + Arguments{"--output-dir", at("run")};
  const Finished second = on_gpu("clx-train", options + Arguments{"--device", "cuda:1"});
  EXPECT_EQ(second.code, kUsage);
  EXPECT_THAT(second.err, HasSubstr("expected one of 1 GPUs, got cuda:1"));
  const Finished none =
      on_gpu("clx-train", options + Arguments{"--device", "cuda"}, {{"CLX_STAND_IN_GPUS", "0"}});
  EXPECT_EQ(none.code, kUsage);
  EXPECT_THAT(none.err, HasSubstr("no CUDA-capable device is detected"));
}

#else

TEST(Gpu, NeedsABuildWithKernelsForGpus) {
  GTEST_SKIP() << "nvcc was not found when this was built";
}

#endif

}  // namespace
}  // namespace clx
