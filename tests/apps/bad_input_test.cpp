// Wrong flags, values, keys and data: each is refused with its exit code, a message that says what to do, and
// nothing written.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sys/stat.h>

#include "tests/apps/tiny_run.h"

namespace clx {
namespace {

namespace fs = std::filesystem;

constexpr int kFailed = 1, kUsage = 2, kBadData = 3;
constexpr std::uintmax_t kRecord = 3073, kBatch = 10000 * kRecord;

class BadInput : public ProgramTest {
 protected:
  BadInput() { out = {"--output-dir", at("new/folder")}; }

  void write(const std::string& name, const std::string& text) {
    io::write_file(root / name, text.data(), text.size());
  }

  // A CIFAR-10 batch of black airplanes.
  void write_batch(const std::string& name, std::uintmax_t bytes = kBatch) {
    fs::create_directories((root / name).parent_path());
    std::ofstream(root / name).close();
    fs::resize_file(root / name, bytes);
  }

  Arguments out;
};

TEST_F(BadInput, UnknownFlagsGetASuggestion) {
  refuses("clx-train", out + Arguments{"--epoch", "3"}, kUsage,
          {"unknown flag --epoch", "did you mean --epochs?"});
  refuses("clx-train", out + Arguments{"--leraning-rate", "3"}, kUsage, {"--leraning-rate", "--help"});
  refuses("clx-explain", out + Arguments{"--methods", "grad-cam"}, kUsage, {"did you mean --method?"});
  refuses("clx-eval", out + Arguments{"--pf-steps=3"}, kUsage, {"did you mean --pf-step?"});
  refuses("clx-data", out + Arguments{"export", "--outptu-dir", "x"}, kUsage, {"did you mean --output-dir?"});
}

TEST_F(BadInput, UnknownConfigKeysGetASuggestionAndTheLine) {
  write("a.toml", "lr = 0.1\nepoch = 3\n");
  refuses("clx-train", out + Arguments{"--config", at("a.toml")}, kUsage,
          {"a.toml:2: unknown key epoch", "did you mean --epochs?"});
  write("b.toml", "lr = \"fast\"\n");
  refuses("clx-train", out + Arguments{"--config", at("b.toml")}, kUsage,
          {"b.toml:1: lr: expected a number", "fast"});
  write("c.toml", "lr = \n");
  refuses("clx-train", out + Arguments{"--config", at("c.toml")}, kUsage, {"c.toml:1"});
  refuses("clx-train", out + Arguments{"--config", at("none.toml")}, kUsage, {"none.toml", "No such file"});
}

TEST_F(BadInput, ValuesOutOfRangeNameTheRange) {
  refuses("clx-train", out + Arguments{"--lr", "-1"}, kUsage, {"--lr: expected 0 … 1000, got -1"});
  refuses("clx-train", out + Arguments{"--epochs", "0"}, kUsage, {"--epochs", "got 0"});
  refuses("clx-train", out + Arguments{"--batch-size", "many"}, kUsage,
          {"--batch-size: expected a number, got many"});
  refuses("clx-train", out + Arguments{"--image-size", "8"}, kUsage,
          {"--image-size: expected 16 … 4096, got 8"});
  refuses("clx-train", out + Arguments{"--dataset", "cifar11"}, kUsage, {"--dataset", "cifar10"});
  refuses("clx-train", out + Arguments{"--device", "gpu"}, kUsage,
          {"device: expected auto, cpu, cuda", "gpu"});
  refuses("clx-train", out + Arguments{"--conv", "cudnn", "--device", "cpu"}, kUsage,
          {"conv: expected auto, direct or winograd on cpu, got cudnn"});
  refuses("clx-train", out + Arguments{"--matmul", "cublas", "--device", "cpu"}, kUsage,
          {"matmul: expected auto on cpu, got cublas"});
  refuses("clx-train", out + Arguments{"--conv", "winograd", "--device", "emulated"}, kUsage,
          {"conv: expected auto or custom on emulated, got winograd"});
  refuses("clx-train", out + Arguments{"--arch", "resnet21"}, kUsage,
          {"arch", "resnet18-cifar", "did you mean resnet20?"});
  refuses("clx-data", out + Arguments{"exprot"}, kUsage, {"export"});
}

TEST_F(BadInput, FewerImagesThanABatchAreRefused) {
  refuses("clx-train", kTinyTraining + out + Arguments{"--train-samples", "10"}, kFailed,
          {"expected at least one batch of 16 images, got 10", "--batch-size"});
}

TEST_F(BadInput, Cifar10WithoutAFolderOrFilesIsRefused) {
  const Arguments cifar = out + Arguments{"--dataset", "cifar10"};
  refuses("clx-train", cifar, kUsage, {"data-dir", "cifar-10-batches-bin"});
  refuses("clx-train", cifar + Arguments{"--data-dir", at("none")}, kBadData,
          {"data_batch_1.bin", at("none"), "download cifar-10-binary.tar.gz"});
  write_batch("cifar/data_batch_1.bin");
  refuses("clx-train", cifar + Arguments{"--data-dir", at("cifar")}, kBadData, {"data_batch_2.bin"});
  const Arguments one{"--data-dir", at("cifar"), "--train-files", "data_batch_1.bin"};
  refuses("clx-train", cifar + one, kBadData, {"test_batch.bin", at("cifar")});
  refuses("clx-data", Arguments{"verify", "--dataset", "cifar10", "--data-dir", at("none")}, kBadData,
          {"data_batch_1.bin"});
}

TEST_F(BadInput, DamagedCifar10FilesAreRefused) {
  const Arguments cifar = out + Arguments{"--dataset",     "cifar10",          "--data-dir", at("cifar"),
                                          "--train-files", "data_batch_1.bin", "--limit",    "64"};
  write_batch("cifar/test_batch.bin");
  write_batch("cifar/data_batch_1.bin", kBatch - 1);
  refuses("clx-train", cifar, kBadData,
          {at("cifar/data_batch_1.bin"), "truncated in record 9999", "30730000"});
  write_batch("cifar/data_batch_1.bin", 0);
  refuses("clx-train", cifar, kBadData, {"data_batch_1.bin", "truncated in record 0"});
  write_batch("cifar/data_batch_1.bin", kBatch + 1);
  refuses("clx-train", cifar, kBadData, {"data_batch_1.bin", "got 30730001"});
  write_batch("cifar/data_batch_1.bin");
  std::fstream(root / "cifar/data_batch_1.bin").seekp(1234 * kRecord).put(10);
  refuses("clx-train", cifar, kBadData, {"data_batch_1.bin", "label within 0…9 in record 1234, got 10"});
}

TEST_F(BadInput, WholeCifar10FilesAreTaken) {
  write_batch("cifar/cifar-10-batches-bin/test_batch.bin");
  write_batch("cifar/cifar-10-batches-bin/data_batch_1.bin");
  train("run", {"--dataset", "cifar10", "--data-dir", at("cifar"), "--train-files", "data_batch_1.bin",
                "--limit", "32"});
  must("clx-eval", {"--run", at("run"), "--limit", "4", "--output-dir", at("scores"), "--threads", "1"});
  EXPECT_THAT(text_of(root / "scores/summary.json"), testing::HasSubstr("\"dataset\": \"cifar10\""));
}

TEST_F(BadInput, LayersAndClassesThatDoNotExistAreRefused) {
  train("run");
  for (const char* program : {"clx-explain", "clx-eval"}) {
    const Arguments run = out + Arguments{"--run", at("run"), "--limit", "4"};
    refuses(program, run + Arguments{"--layer", "layer3.7"}, kUsage,
            {"layer: expected one of layer1.0, ", "layer3.2 for resnet20, got 'layer3.7'",
             "did you mean layer3."});
    refuses(program, run + Arguments{"--target", "10"}, kUsage,
            {"target: expected a class within 0…9, got 10"});
    refuses(program, run + Arguments{"--target", "-1"}, kUsage, {"target", "got -1"});
    refuses(program, run + Arguments{"--target", "cat"}, kUsage,
            {"target: expected predicted, true or a class index", "cat"});
    refuses(program, run + Arguments{"--method", "grad-kam"}, kUsage, {"--method", "grad-cam"});
    refuses(program, run + Arguments{"--arch", "resnet21"}, kUsage, {"arch", "did you mean resnet20?"});
  }
}

TEST_F(BadInput, RunsThatAreNoneAreRefused) {
  fs::create_directories(root / "empty/seed0/checkpoints");
  write("empty/seed0/config.toml", "");
  for (const char* program : {"clx-explain", "clx-eval"}) {
    refuses(program, out, kUsage, {"--run", "--checkpoint"});
    refuses(program, out + Arguments{"--run", at("none")}, kBadData, {at("none"), "config.toml"});
    refuses(program, out + Arguments{"--run", at("empty")}, kBadData,
            {at("empty/seed0/checkpoints"), "checkpoint"});
  }
}

TEST_F(BadInput, AFolderThatHoldsARunIsKept) {
  train("run");
  refuses("clx-train", kTinyTraining + Arguments{"--output-dir", at("run")}, kFailed,
          {at("run/seed0"), "holds a run already", "--overwrite"});
}

// As root one may write anywhere; then the programs run as nobody.
void become_nobody() {
  if (::geteuid() != 0) return;
  if (::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(126);
}

TEST_F(BadInput, OutputFoldersThatCannotBeWrittenAreNamed) {
  train("run");
  fs::create_directory(root / "locked");
  ::chmod(root.path().c_str(), 0755);
  ::chmod((root / "locked").c_str(), 0555);
  const Arguments into{"--output-dir", at("locked/results")};
  const std::vector<std::string> message{at("locked/results"), "not writable", "ermission denied",
                                         "--output-dir"};
  refuses("clx-train", kTinyTraining + into, kFailed, message, become_nobody);
  for (const char* program : {"clx-explain", "clx-eval"})
    refuses(program, into + Arguments{"--run", at("run"), "--limit", "2"}, kFailed, message, become_nobody);
  refuses("clx-data", Arguments{"export", "--test-samples", "2"} + into, kFailed, message, become_nobody);
}

TEST_F(BadInput, AnOutputFolderThatIsAFileIsNamed) {
  write("file", "mine");
  refuses("clx-train", kTinyTraining + Arguments{"--output-dir", at("file")}, kFailed,
          {at("file"), "not writable"});
  refuses("clx-data", Arguments{"export", "--test-samples", "2", "--output-dir", at("file")}, kFailed,
          {at("file"), "it is not a folder"});
}

TEST_F(BadInput, AGpuThatCannotBeUsedNamesTheReason) {
#ifdef CLX_CUDA
  const auto with_driver_of_cuda_11 = [] {
    ::setenv("LD_LIBRARY_PATH", (tests::program_dir() / "fake_driver").c_str(), 1);
    ::unsetenv("CUDA_VISIBLE_DEVICES");
  };
  for (const char* program : {"clx-train", "clx-explain", "clx-eval"})
    refuses(program, out + Arguments{"--device", "cuda"}, kUsage,
            {"device: expected an NVIDIA driver for CUDA ", "or later, got one for CUDA 11.4",
             "--device cpu works without"},
            with_driver_of_cuda_11);
  const std::string on_cpu = "or later, got one for CUDA 11.4; the CPU computes\n";
  for (const Arguments& more : {Arguments{}, Arguments{"--processes", "2", "--overwrite"}}) {
    const Finished done = run_program("clx-train", kTinyTraining + out + Arguments{"--device", "auto"} + more,
                                      with_driver_of_cuda_11);
    EXPECT_EQ(done.code, 0);
    EXPECT_THAT(done.err, testing::StartsWith("note: expected an NVIDIA driver for CUDA "));
    EXPECT_THAT(done.err, testing::EndsWith(on_cpu));
    EXPECT_EQ(std::ranges::count(done.err, '\n'), 1) << "once: " << done.err;
  }
  const auto hidden = [&] {
    with_driver_of_cuda_11();
    ::setenv("CUDA_VISIBLE_DEVICES", "", 1);
  };
  EXPECT_EQ(run_program("clx-train", kTinyTraining + out + Arguments{"--overwrite"}, hidden).err, "");
#else
  refuses("clx-train", out + Arguments{"--device", "cuda"}, kUsage,
          {"device: expected a build with kernels for GPUs", "--device cpu works without"});
#endif
}

}  // namespace
}  // namespace clx
