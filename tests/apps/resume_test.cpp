// Runs that are killed or stopped at any moment end as if they had not been, bit for bit.
#include <chrono>
#include <csignal>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <thread>

#include "runtime/io/safetensors.h"
#include "runtime/random.h"
#include "tests/apps/tiny_run.h"
#include "tests/nn/image_folder.h"

namespace clx {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr int kFailed = 1, kUsage = 2, kBadData = 3;

// Names of files that appear in a folder, as they come: hidden ones when they are begun, others when they are
// renamed to what they are.
class Arrivals {
 public:
  explicit Arrivals(const fs::path& folder) : fd_(::inotify_init1(IN_CLOEXEC)) {
    fs::create_directories(folder);
    ::inotify_add_watch(fd_, folder.c_str(), IN_CREATE | IN_MOVED_TO);
  }
  ~Arrivals() { ::close(fd_); }
  Arrivals(const Arrivals&) = delete;
  Arrivals& operator=(const Arrivals&) = delete;

  // Waits until a name begins like this for the n-th time.
  bool wait(const std::string& begin, int n) {
    pollfd ready{fd_, POLLIN, 0};
    while (n > 0 && ::poll(&ready, 1, 60'000) == 1) {
      alignas(inotify_event) char buffer[4096];
      const ssize_t bytes = ::read(fd_, buffer, sizeof buffer);
      for (ssize_t at = 0; at < bytes;) {
        const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
        if (event->len > 0 && std::string(event->name).starts_with(begin)) --n;
        at += static_cast<ssize_t>(sizeof(inotify_event)) + event->len;
      }
    }
    return n <= 0;
  }

 private:
  int fd_;
};

class Resume : public ProgramTest {
 protected:
  // Many saves of a tiny network: an epoch is two steps.
  Arguments tiny(const std::string& loss, const Arguments& more = {}) const {
    return kTinyTraining +
           Arguments{"--train-samples",
                     "16",
                     "--test-samples",
                     "10",
                     "--batch-size",
                     "8",
                     "--width",
                     "0.1",
                     "--epochs",
                     "12",
                     "--loss",
                     loss,
                     "--probe",
                     "none",
                     "--optimizer",
                     loss == "ce" ? "sgd" : "radam",
                     "--lr",
                     "0.01"} +
           more;
  }
  Arguments into(const std::string& name) const { return {"--output-dir", at(name)}; }

  // Begins or goes on with a run, as whoever looks after it would.
  Arguments go_on(const std::string& name, const Arguments& options) const {
    const bool there = fs::exists(root / (name + "/seed0/config.toml"));
    return options + into(name) + (there ? Arguments{"--resume"} : Arguments{});
  }

  // What must not depend on how often a run was interrupted.
  void expect_same_run(const std::string& a, const std::string& b) {
    auto first = contents(root / (a + "/seed0")), second = contents(root / (b + "/seed0"));
    for (auto* files : {&first, &second})
      std::erase_if(*files, [](const auto& file) {
        return file.first == "env.json" || file.first == "timings.jsonl" || file.first == "config.toml" ||
               file.first == "checkpoints/last.state.safetensors";
      });
    for (const auto& [name, text] : first)
      EXPECT_TRUE(second.contains(name) && second[name] == text) << name << " differs";
    EXPECT_EQ(first.size(), second.size());
  }

  void kill_while(const Arguments& arguments, const std::function<void()>& wait) {
    RunningProgram program("clx-train", arguments);
    wait();
    program.send(SIGKILL);
    program.finish();
  }
};

class KilledRuns : public Resume, public testing::WithParamInterface<const char*> {};

INSTANTIATE_TEST_SUITE_P(Losses,
                         KilledRuns,
                         testing::Values("ce", "supcon", "triplet"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(KilledRuns, EndAsIfTheyHadNotBeen) {
  const Arguments options = tiny(GetParam());
  const auto start = std::chrono::steady_clock::now();
  must("clx-train", options + into("whole"));
  const auto whole = std::chrono::steady_clock::now() - start;
  Random random(7, Purpose::test);
  for (int kill = 0; kill < 6; ++kill)
    kill_while(go_on("killed", options),
               [&] { std::this_thread::sleep_for(whole * random.uniform(0.1f, 0.4f)); });
  must("clx-train", go_on("killed", options));
  expect_same_run("whole", "killed");
}

TEST_P(KilledRuns, EndAsIfTheyHadNotBeenWhenKilledWhileSaving) {
  const Arguments options = tiny(GetParam());
  must("clx-train", options + into("whole"));
  // While one of the files is written, and just after it has its name.
  for (const auto& [file, times] :
       {std::pair{".best.safetensors.", 1}, std::pair{".last.state.safetensors.", 2},
        std::pair{"last.state.safetensors", 2}, std::pair{".last.safetensors.", 3},
        std::pair{"last.safetensors", 2}}) {
    Arrivals arrivals(root / "killed/seed0/checkpoints");
    kill_while(go_on("killed", options), [&] { EXPECT_TRUE(arrivals.wait(file, times)) << file; });
  }
  must("clx-train", go_on("killed", options));
  expect_same_run("whole", "killed");
}

TEST_P(KilledRuns, GoOnInTheMiddleOfAnEpochAfterAStopOnRequest) {
  const Arguments options = tiny(GetParam(), {"--train-samples", "400", "--epochs", "2"});
  must("clx-train", options + into("whole"));
  for (const auto& [signal, code] :
       {std::pair{SIGINT, 130}, std::pair{SIGTERM, 75}, std::pair{SIGUSR1, 75}}) {
    RunningProgram program("clx-train", go_on("stopped", options));
    ASSERT_TRUE(program.wait_for("parameters, on"));
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    program.send(signal);
    const Finished done = program.finish();
    EXPECT_EQ(done.code, code);
    EXPECT_THAT(done.err, HasSubstr("of 50 steps"));
    EXPECT_THAT(done.err, HasSubstr("--resume goes on"));
  }
  const Finished done = must("clx-train", go_on("stopped", options));
  EXPECT_THAT(done.out, HasSubstr("resumed after "));
  expect_same_run("whole", "stopped");
}

TEST_F(Resume, OutOfMemoryLosesNothing) {
  if (!kCanLimitMemory) GTEST_SKIP() << "a sanitizer needs all of it";
  const Arguments options = tiny("ce", {"--image-size", "48", "--train-samples", "128", "--batch-size", "128",
                                        "--width", "1", "--epochs", "2", "--device", "cpu"});
  must("clx-train", options + into("whole"));
  Arrivals arrivals(root / "short/seed0/checkpoints");
  kill_while(options + into("short"), [&] { arrivals.wait("last.safetensors", 1); });
  const auto saved = contents(root / "short/seed0/checkpoints");
  const Finished failed = run_program("clx-train", into("short") + Arguments{"--resume"},
                                      [] { limit_memory(350 << 20); });  // of some 550 MiB
  EXPECT_EQ(failed.code, 5) << failed.err;
  EXPECT_THAT(failed.err, HasSubstr("error: out of memory of cpu: expected "));
  EXPECT_THAT(failed.err, HasSubstr(" more beside the "));
  EXPECT_THAT(failed.err, HasSubstr("a lower --batch-size"));
  EXPECT_TRUE(contents(root / "short/seed0/checkpoints") == saved);
  must("clx-train", into("short") + Arguments{"--resume"});
  expect_same_run("whole", "short");
}

TEST_F(Resume, NeedsNoOptionsButTheFolder) {
  const Arguments options = tiny("supcon");
  must("clx-train", options + into("whole"));
  Arrivals arrivals(root / "killed/seed0/checkpoints");
  kill_while(options + into("killed"), [&] { arrivals.wait("last.safetensors", 3); });
  must("clx-train", into("killed") + Arguments{"--resume"});
  expect_same_run("whole", "killed");
  const auto env = nlohmann::json::parse(text_of(root / "killed/seed0/env.json"));
  EXPECT_EQ(env["earlier"].size(), 1u);
  EXPECT_THAT(must("clx-train", into("killed") + Arguments{"--resume"}).out, HasSubstr("finished already"));
}

TEST_F(Resume, FitsTheClassifierOfARunThatWasKilledBefore) {
  const Arguments options = tiny("supcon", {"--probe", "full-batch"});
  must("clx-train", options + into("run"));
  const std::string probe = text_of(root / "run/seed0/checkpoints/linear_classifier.safetensors");
  fs::remove(root / "run/seed0/checkpoints/linear_classifier.safetensors");
  fs::remove(root / "run/seed0/checkpoints/linear_classifier.json");
  must("clx-train", into("run") + Arguments{"--resume"});
  EXPECT_TRUE(text_of(root / "run/seed0/checkpoints/linear_classifier.safetensors") == probe);
}

TEST_F(Resume, WorksInSeveralProcessesAndForImagesThatAreRead) {
  tests::write_photos(root / "photos", 6);
  const Arguments options =
      tiny("triplet", {"--dataset", "folder", "--data-dir", at("photos"), "--processes", "2", "--sync-bn",
                       "--batch-size", "6", "--checkpoint-interval", "3"});
  must("clx-train", options + into("whole"));
  Arrivals arrivals(root / "killed/seed0/checkpoints");
  kill_while(go_on("killed", options), [&] { arrivals.wait(".last.safetensors.", 2); });
  RunningProgram program("clx-train", go_on("killed", options));
  ASSERT_TRUE(program.wait_for("epoch "));
  program.send(SIGTERM);
  EXPECT_EQ(program.finish().code, 75);
  must("clx-train", go_on("killed", options));
  expect_same_run("whole", "killed");
}

TEST_F(Resume, RefusesOtherOptionsAndOtherData) {
  must("clx-train", tiny("ce", {"--checkpoint-interval", "5"}) + into("run"));
  fs::remove(root / "run/seed0/checkpoints/final.safetensors");
  const Arguments resume = into("run") + Arguments{"--resume"};
  const auto refused = [&](const Arguments& options, const std::vector<std::string>& parts,
                           int code = kUsage) { refuses("clx-train", resume + options, code, parts); };
  refused({"--epochs", "20"}, {at("run/seed0") + " was started with epochs = 12 (now 20)", "--overwrite"});
  refused({"--lr", "0.02", "--arch", "resnet32"},
          {"lr = 0.01 (now 0.02)", "arch = \"resnet20\" (now \"resnet32\")"});
  refused({"--loss", "supcon"}, {"loss"});
  refused({"--overwrite"}, {"one of --resume and --overwrite"});
  refused({"--seed", "5"}, {at("run/seed5"), "no run to resume"}, kFailed);
  refuses("clx-train", {"--resume", "--output-dir", at("none")}, kFailed,
          {at("none/seed0"), "no run to resume"});
  must("clx-train",
       resume + Arguments{"--threads", "2", "--log-interval", "1", "--checkpoint-interval", "1"});
}

TEST_F(Resume, RefusesAStateThatIsMissingDamagedOrOfAnotherRun) {
  must("clx-train", tiny("ce") + into("run"));
  must("clx-train", tiny("ce", {"--arch", "resnet32"}) + into("other"));
  fs::remove(root / "run/seed0/checkpoints/final.safetensors");
  const Arguments resume = into("run") + Arguments{"--resume"};
  const fs::path state = root / "run/seed0/checkpoints/last.state.safetensors";
  const std::string whole = text_of(state);
  const auto refused_with = [&](const std::string& text, const std::vector<std::string>& parts) {
    io::write_file(state, text.data(), text.size());
    refuses("clx-train", resume, kBadData, parts);
  };
  std::string flipped = whole;
  flipped[whole.size() - 100] ^= 1;
  refused_with(flipped, {"last.state.safetensors", "damaged", "checksum"});
  refused_with(whole.substr(0, whole.size() / 2), {"last.state.safetensors"});
  refused_with("", {"last.state.safetensors"});
  refused_with(text_of(root / "run/seed0/checkpoints/last.safetensors"),
               {"expected the state of a training run"});
  refused_with(text_of(root / "other/seed0/checkpoints/last.state.safetensors"),
               {"of another model: expected resnet20", "got resnet32"});
  fs::remove(state);
  refuses("clx-train", resume, kBadData, {"has weights, but no last.state.safetensors"});
  io::write_file(state, whole.data(), whole.size());
  must("clx-train", resume);
}

TEST_F(Resume, ARunKilledBeforeItSavedAnythingStartsAnew) {
  must("clx-train", tiny("ce") + into("whole"));
  const Arguments options = tiny("ce");
  Arrivals arrivals(root / "killed/seed0");
  kill_while(options + into("killed"), [&] { arrivals.wait("config.toml", 1); });
  fs::remove_all(root / "killed/seed0/checkpoints");
  fs::remove(root / "killed/seed0/metrics.jsonl");
  must("clx-train", into("killed") + Arguments{"--resume"});
  expect_same_run("whole", "killed");
}

TEST_F(Resume, SeveralSeedsInOneCommand) {
  const Arguments options = tiny("triplet", {"--probe", "full-batch", "--epochs", "3"}) + into("run");
  Arrivals arrivals(root / "run/seed1/checkpoints");
  kill_while(options + Arguments{"--seeds", "0-2"}, [&] { arrivals.wait("last.safetensors", 1); });
  const std::string first = text_of(root / "run/seed0/env.json");
  const Finished done = must("clx-train", options + Arguments{"--seeds", "0-1,2"});
  EXPECT_EQ(text_of(root / "run/seed0/env.json"), first) << "a finished run is left alone";
  EXPECT_THAT(done.out, HasSubstr(at("run/seed0") + ": finished already"));
  EXPECT_THAT(done.out, HasSubstr("3 runs: probe's test accuracy "));
  EXPECT_THAT(done.out, HasSubstr(" ± "));
  const auto summary = nlohmann::json::parse(text_of(root / "run/summary.json"));
  EXPECT_EQ(summary["seeds"], (std::vector<int>{0, 1, 2}));
  const auto& accuracy = summary["metrics"]["probe_test_accuracy"];
  ASSERT_EQ(accuracy["values"].size(), 3u);
  double mean = 0, square = 0;
  for (const double value : accuracy["values"])
    mean += value / 3;
  for (const double value : accuracy["values"])
    square += (value - mean) * (value - mean) / 2;
  EXPECT_NEAR(accuracy["mean"].get<double>(), mean, 1e-12);
  EXPECT_NEAR(accuracy["std"].get<double>(), std::sqrt(square), 1e-12);
  EXPECT_THAT(text_of(root / "run/seed2/config.toml"), HasSubstr("seed = 2\n"));
  // Each is the run that its seed makes alone.
  must("clx-train",
       tiny("triplet", {"--probe", "full-batch", "--epochs", "3", "--seed", "1"}) + into("alone"));
  for (const char* file :
       {"metrics.jsonl", "checkpoints/final.safetensors", "checkpoints/linear_classifier.safetensors"})
    EXPECT_TRUE(text_of(root / (std::string("run/seed1/") + file)) ==
                text_of(root / (std::string("alone/seed1/") + file)))
        << file;
  refuses("clx-train", options + Arguments{"--seeds", "0,7", "--lr", "0.5"}, kUsage,
          {"seed0 was started with lr"});
}

}  // namespace
}  // namespace clx
