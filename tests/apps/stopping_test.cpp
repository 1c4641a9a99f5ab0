// Programs that cannot go on: signals, diverging losses, full disks. What is there stays whole.
#include <algorithm>
#include <cmath>
#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "runtime/io/safetensors.h"
#include "tests/apps/tiny_run.h"

namespace clx {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

class Stopping : public ProgramTest {
 protected:
  // A checkpoint that is whole and has finite weights.
  void expect_finite(const std::string& checkpoint) {
    for (const auto& [name, tensor] : io::read_safetensors(root / checkpoint).tensors) {
      if (tensor.dtype() != DType::f32) continue;
      const std::vector<float> values = tensor.to_host();
      EXPECT_TRUE(std::ranges::all_of(values, [](float v) { return std::isfinite(v); }))
          << checkpoint << ' ' << name;
    }
  }

  // And that can be explained.
  void expect_good(const std::string& checkpoint) {
    expect_finite(checkpoint);
    must("clx-explain", {"--checkpoint", at(checkpoint), "--image-size", "16", "--limit", "2", "--output-dir",
                         at("explained"), "--overwrite"});
  }

  void expect_stops_by(int signal, int code) {
    RunningProgram program("clx-train",
                           kTinyTraining + Arguments{"--output-dir", at("run"), "--epochs", "100000"});
    ASSERT_TRUE(program.wait_for("epoch   2"));
    program.send(signal);
    const Finished done = program.finish();
    EXPECT_EQ(done.code, code);
    EXPECT_THAT(done.err, HasSubstr("last.safetensors"));
    EXPECT_THAT(names_in(root / "run/seed0"),
                UnorderedElementsAre("checkpoints", "checkpoints/best.safetensors",
                                     "checkpoints/last.safetensors", "checkpoints/last.state.safetensors",
                                     "config.toml", "env.json", "metrics.jsonl", "timings.jsonl"));
    EXPECT_TRUE(text_of(root / "run/seed0/metrics.jsonl").ends_with("}\n"));
    expect_good("run/seed0/checkpoints/last.safetensors");
  }
};

TEST_F(Stopping, CtrlCSavesTheWeights) {
  expect_stops_by(SIGINT, 130);
}

TEST_F(Stopping, TerminationSavesTheWeights) {
  expect_stops_by(SIGTERM, 75);
}

// Waits for something to appear in a folder.
class Arrival {
 public:
  explicit Arrival(const fs::path& folder) : fd_(::inotify_init1(IN_CLOEXEC)) {
    ::inotify_add_watch(fd_, folder.c_str(), IN_CREATE);
  }
  ~Arrival() { ::close(fd_); }
  Arrival(const Arrival&) = delete;
  Arrival& operator=(const Arrival&) = delete;
  bool wait() const {
    pollfd ready{fd_, POLLIN, 0};
    return ::poll(&ready, 1, 60'000) == 1;
  }

 private:
  int fd_;
};

TEST_F(Stopping, AnEvaluationThatIsStoppedWritesNoTables) {
  train("run");
  for (const auto& [signal, code] : {std::pair{SIGINT, 130}, std::pair{SIGTERM, 75}})
    for (const char* program : {"clx-explain", "clx-eval"}) {
      const std::string folder = concat(program, code);
      const Arrival results(root.path());
      RunningProgram running(
          program, {"--run", at("run"), "--test-samples", "2000", "--limit", "0", "--batch-size", "1",
                    "--output-dir", at(folder), "--threads", "1", "--quiet"});
      ASSERT_TRUE(results.wait()) << program;
      running.send(signal);
      const Finished done = running.finish();
      EXPECT_EQ(done.code, code) << program;
      EXPECT_THAT(done.err, HasSubstr("of 2000 images"));
      EXPECT_EQ(done.out, "");
      for (const std::string& name : names_in(root / folder))
        EXPECT_TRUE(name == "overlays" || name.ends_with(".png")) << name;
    }
}

TEST_F(Stopping, ADivergingRunKeepsItsLastGoodCheckpoint) {
  for (const std::string loss : {"ce", "supcon", "triplet"}) {
    const std::string last = loss + "/seed0/checkpoints/last.safetensors";
    // Batch-norm bears any learning rate; with this decay every step makes the weights 99 times larger.
    const Finished done =
        run_program("clx-train", kTinyTraining + Arguments{"--output-dir", at(loss), "--loss", loss, "--lr",
                                                           "100", "--weight-decay", "1", "--warmup-epochs",
                                                           "0", "--epochs", "20"});
    EXPECT_EQ(done.code, 4) << done.err;
    EXPECT_THAT(done.err, testing::StartsWith("error: train: "));
    EXPECT_THAT(done.err, HasSubstr("not finite"));
    EXPECT_THAT(done.err, HasSubstr(at(last) + " holds the last good weights"));
    EXPECT_THAT(done.err, HasSubstr("--lr"));
    EXPECT_FALSE(fs::exists(root / (loss + "/seed0/checkpoints/final.safetensors")));
    if (loss == "ce")
      expect_good(last);
    else
      expect_finite(last);  // an encoder explains nothing yet
  }
}

TEST_F(Stopping, ARunThatDivergesAtOnceWritesNoCheckpoint) {
  const Finished done =
      run_program("clx-train", kTinyTraining + Arguments{"--output-dir", at("run"), "--lr", "1000",
                                                         "--weight-decay", "1", "--batch-size", "2"});
  EXPECT_EQ(done.code, 4) << done.err;
  EXPECT_THAT(done.err, HasSubstr("no weights were saved"));
  EXPECT_THAT(names_in(root / "run/seed0"), UnorderedElementsAre("checkpoints", "config.toml", "env.json"));
  train("run");  // the folder holds no run, so the next one may have it
}

// Files may grow to `bytes` and no further, as on a disk that is full.
std::function<void()> files_of_at_most(rlim_t bytes) {
  return [bytes] {
    const rlimit limit{bytes, bytes};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    ::signal(SIGXFSZ, SIG_IGN);
  };
}

TEST_F(Stopping, ACheckpointThatDoesNotFitIsNotLeftInPart) {
  const Finished done =
      run_program("clx-train", kTinyTraining + Arguments{"--output-dir", at("run")}, files_of_at_most(20000));
  EXPECT_EQ(done.code, 1);
  EXPECT_THAT(done.err, HasSubstr("error: writing " + at("run/seed0/checkpoints/best.safetensors") +
                                  ": File too large"));
  EXPECT_THAT(names_in(root / "run/seed0"), UnorderedElementsAre("checkpoints", "config.toml", "env.json"));
}

TEST_F(Stopping, ScoresAndPicturesThatDoNotFitAreNotLeftInPart) {
  train("run");
  const Arguments run{"--run", at("run"), "--limit", "20", "--threads", "1", "--quiet"};
  const Finished scored =
      run_program("clx-eval", run + Arguments{"--output-dir", at("scores")}, files_of_at_most(500));
  EXPECT_EQ(scored.code, 1);
  EXPECT_THAT(scored.err, HasSubstr("error: writing " + at("scores/")));
  EXPECT_THAT(scored.err, HasSubstr("File too large"));
  for (const auto& [name, text] : contents(root / "scores"))
    EXPECT_TRUE(name.ends_with(".csv") && std::ranges::count(text, '\n') == 21) << name;
  const Finished drawn =
      run_program("clx-explain", run + Arguments{"--output-dir", at("drawn")}, files_of_at_most(100));
  EXPECT_EQ(drawn.code, 1);
  EXPECT_THAT(drawn.err, HasSubstr("error: writing " + at("drawn/overlays/img0000")));
  EXPECT_THAT(names_in(root / "drawn"), UnorderedElementsAre("overlays"));
  const Finished exported = run_program(
      "clx-data", {"export", "--test-samples", "3", "--output-dir", at("shapes")}, files_of_at_most(50));
  EXPECT_EQ(exported.code, 1);
  for (const auto& [name, text] : contents(root / "shapes"))
    EXPECT_EQ(text, "(folder)") << name;
}

TEST_F(Stopping, AFullDiskLeavesTheCheckpointsThatFit) {
  fs::create_directory(root / "disk");
  // In a name space of its own, so that nothing stays mounted whatever happens.
  if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("tmpfs", at("disk").c_str(), "tmpfs", 0, "size=160k") != 0)
    GTEST_SKIP() << "this user may not mount a small disk";
  const Finished done = run_program("clx-train", kTinyTraining + Arguments{"--output-dir", at("disk/run")});
  EXPECT_EQ(done.code, 1);
  EXPECT_THAT(done.err, HasSubstr("last.state.safetensors: No space left on device"));
  EXPECT_THAT(names_in(root / "disk/run/seed0"),
              UnorderedElementsAre("checkpoints", "checkpoints/best.safetensors", "config.toml", "env.json",
                                   "metrics.jsonl", "timings.jsonl"));
  expect_good("disk/run/seed0/checkpoints/best.safetensors");
  ::umount(at("disk").c_str());
}

TEST_F(Stopping, ResultsThatCannotBePrintedAreAnError) {
  const Finished done = run_program("clx-data", {"verify", "--train-samples", "3", "--test-samples", "3"},
                                    [] { ::dup2(::open("/dev/full", O_WRONLY), STDOUT_FILENO); });
  EXPECT_EQ(done.code, 1);
  EXPECT_THAT(done.err, HasSubstr("stdout: the results could not be written"));
}

}  // namespace
}  // namespace clx
