// clx-train: losses, optimizers, augmentations, data sets, samplers, processes; what it refuses.
#include <cmath>
#include <nlohmann/json.hpp>

#include "runtime/io/safetensors.h"
#include "tests/apps/tiny_run.h"
#include "tests/nn/image_folder.h"
#include "tests/paths.h"

namespace clx {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

constexpr int kFailed = 1, kUsage = 2, kBadData = 3;

class Training : public ProgramTest {
 protected:
  // Line `epoch` of a run's metrics.
  nlohmann::json line(const std::string& run, int epoch = 0) const {
    std::istringstream lines(text_of(root / (run + "/seed0/metrics.jsonl")));
    std::string text;
    for (int i = 0; i <= epoch; ++i)
      std::getline(lines, text);
    return nlohmann::json::parse(text);
  }
  double loss(const std::string& run, int epoch = 0) const { return line(run, epoch)["train_loss"]; }

  std::map<std::string, Tensor> weights(const std::string& run, const std::string& name = "final") const {
    return io::read_safetensors(root / (run + "/seed0/checkpoints/" + name + ".safetensors")).tensors;
  }

  // The largest difference of two runs' weights.
  double difference(const std::string& a, const std::string& b) const {
    double largest = 0;
    const auto first = weights(a), second = weights(b);
    for (const auto& [name, tensor] : first) {
      if (tensor.dtype() != DType::f32) continue;
      const std::vector<float> x = tensor.to_host(), y = second.at(name).to_host();
      for (std::size_t i = 0; i < x.size(); ++i)
        largest = std::max(largest, std::abs(double{x[i]} - double{y[i]}));
    }
    return largest;
  }
};

TEST_F(Training, AnEncoderGetsAClassifierThatAllProgramsFind) {
  for (const std::string loss : {"supcon", "triplet"}) {
    const Finished done = must(
        "clx-train", kTinyTraining + Arguments{"--output-dir", at(loss), "--loss", loss, "--epochs", "2"});
    const fs::path folder = root / (loss + "/seed0/checkpoints");
    EXPECT_TRUE(fs::exists(folder / "linear_classifier.safetensors"));
    EXPECT_THAT(done.out, HasSubstr("full-batch probe"));
    EXPECT_THAT(done.out, HasSubstr("nearest neighbours: test accuracy"));
    EXPECT_THAT(done.out, HasSubstr("mean max probability"));
    const auto probe = nlohmann::json::parse(text_of(folder / "linear_classifier.json"));
    EXPECT_TRUE(probe.contains("knn") && probe["test"].contains("max_probability"));
    EXPECT_FALSE(line(loss).contains("test_accuracy"));
    EXPECT_TRUE(weights(loss).contains("projection.0.weight"));
    EXPECT_FALSE(weights(loss).contains("fc.weight"));
    must("clx-explain",
         {"--run", at(loss), "--limit", "2", "--output-dir", at("x" + loss), "--threads", "1"});
    must("clx-eval", {"--run", at(loss), "--limit", "4", "--output-dir", at("e" + loss), "--threads", "1"});
  }
  // As many equal embeddings as a batch has would give this loss; a fresh network is near it.
  EXPECT_NEAR(loss("supcon"), std::log(31.0), 0.7);
  EXPECT_GT(loss("triplet"), 0);
}

TEST_F(Training, TheBestEncoderIsThatOfTheLowestLoss) {
  train("run", {"--loss", "supcon", "--epochs", "3", "--lr", "0", "--momentum", "0", "--probe", "none"});
  EXPECT_FALSE(fs::exists(root / "run/seed0/checkpoints/linear_classifier.safetensors"));
  int best = 0;
  for (int epoch = 1; epoch < 3; ++epoch)
    if (loss("run", epoch) < loss("run", best)) best = epoch;
  // The weights stay, the running statistics go on: so many batches had the best epoch seen.
  const auto batches = weights("run", "best").at("bn1.num_batches_tracked").to_host<std::int64_t>();
  EXPECT_EQ(batches[0], 4 * (best + 1));
}

TEST_F(Training, TripletTrainsTheBackboneAloneUnlessToldOtherwise) {
  train("before", {"--loss", "triplet", "--lr", "0", "--probe", "none"});
  train("backbone", {"--loss", "triplet", "--probe", "none"});
  train("head", {"--loss", "triplet", "--triplet-input", "head", "--probe", "none"});
  const auto head_of = [&](const std::string& run) {
    return weights(run).at("projection.2.weight").to_host();
  };
  EXPECT_EQ(head_of("backbone"), head_of("before")) << "not even weight decay";
  EXPECT_NE(head_of("head"), head_of("before"));
  EXPECT_NE(weights("backbone").at("conv1.weight").to_host(), weights("before").at("conv1.weight").to_host());
}

TEST_F(Training, ResultsDependOnEveryOptionOfLossOptimizerAndAugmentation) {
  const std::vector<Arguments> variants{
      {},
      {"--label-smoothing", "0.1"},
      {"--nesterov"},
      {"--dampening", "0.5"},
      {"--optimizer", "adamw", "--lr", "0.001"},
      {"--optimizer", "radam", "--lr", "0.001"},
      {"--optimizer", "radam", "--lr", "0.001", "--decoupled", "--weight-decay", "0.1"},
      {"--augment", "none"},
      {"--augment", "contrastive"},
      {"--augment", "imagenet"},
      {"--augment", "imagenet-contrastive"},
      {"--crop-padding", "2"},
      {"--crop-scale", "0.5,1"},
      {"--no-flip"},
      {"--jitter", "0.4,0.4,0.4,0.1"},
      {"--jitter", "0.4,0.4,0.4,0.1", "--jitter-p", "0.3"},
      {"--grayscale", "0.9"},
      {"--blur", "0.9"},
      {"--views", "2"},
      {"--sampler", "pk", "--classes-per-batch", "8"},
      {"--loss", "supcon", "--probe", "none"},
      {"--loss", "supcon", "--probe", "none", "--temperature", "0.2"},
      {"--loss", "supcon", "--probe", "none", "--views", "3"},
      {"--loss", "triplet", "--probe", "none"},
      {"--loss", "triplet", "--probe", "none", "--margin", "1"},
      {"--loss", "triplet", "--probe", "none", "--mining", "hard"},
  };
  std::map<double, std::string> seen;
  for (const Arguments& variant : variants) {
    train("run", Arguments{"--overwrite", "--train-samples", "32", "--test-samples", "10", "--warmup-epochs",
                           "0", "--epochs", "2"} +
                     variant);
    const std::string words = testing::PrintToString(variant);
    const double value = loss("run", 1);
    EXPECT_TRUE(std::isfinite(value)) << words;
    EXPECT_TRUE(seen.emplace(value, words).second) << words << " like " << seen[value];
  }
}

TEST_F(Training, NearestNeighboursAreMeasuredOnTheWay) {
  train("run", {"--loss", "supcon", "--epochs", "2", "--knn-interval", "2", "--probe", "none"});
  EXPECT_FALSE(line("run", 0).contains("knn_accuracy"));
  EXPECT_GT(line("run", 1)["knn_accuracy"].get<double>(), 0);
}

TEST_F(Training, ProcessesWithSharedStatisticsEqualOne) {
  for (const std::string loss : {"ce", "supcon", "triplet"}) {
    const Arguments options{"--loss", loss, "--lr", "0.0001", "--probe", "none"};
    train("one" + loss, options);
    train("two" + loss, options + Arguments{"--processes", "2", "--sync-bn"});
    EXPECT_NEAR(line("two" + loss)["train_loss"].get<double>(),
                line("one" + loss)["train_loss"].get<double>(), 1e-4);
    EXPECT_LT(difference("one" + loss, "two" + loss), 1e-5) << loss;
  }
}

TEST_F(Training, FoldersAndPacksAreTrainedOn) {
  tests::write_photos(root / "photos", 8);
  const Arguments folder{"--dataset", "folder", "--data-dir", at("photos"), "--batch-size", "6"};
  train("ce", folder);
  train("supcon", folder + Arguments{"--loss", "supcon", "--sampler", "pk"});
  must("clx-eval", {"--run", at("supcon"), "--limit", "3", "--output-dir", at("scores"), "--threads", "1"});
  must("clx-data",
       {"pack", "--dataset", "folder", "--data-dir", at("photos"), "--output", at("photos.clxpack")});
  train("packed", {"--dataset", "packed", "--data-dir", at("photos.clxpack"), "--batch-size", "6"});
  EXPECT_EQ(loss("packed"), loss("ce"));
}

// A file that begins as an image and ends early.
void damage(const fs::path& file) {
  fs::resize_file(file, fs::file_size(file) / 2);
}

TEST_F(Training, ADamagedImageEndsTheRunOrIsReplaced) {
  tests::write_photos(root / "photos", 8, false);
  const Arguments folder{"--dataset", "folder", "--data-dir", at("photos"), "--batch-size", "6"};
  train("clean", folder + Arguments{"--epochs", "1"});
  damage(root / "photos/images/dog/0.png");
  damage(root / "photos/images/dog/1.png");
  damage(root / "photos/images/dog/2.png");
  const Finished failed =
      run_program("clx-train", kTinyTraining + folder + Arguments{"--output-dir", at("run")});
  EXPECT_EQ(failed.code, kBadData);
  EXPECT_THAT(failed.err, HasSubstr("photos/images/dog/"));
  EXPECT_FALSE(fs::exists(root / "run/seed0/checkpoints/final.safetensors"));
  const Finished done = must("clx-train", kTinyTraining + folder +
                                              Arguments{"--output-dir", at("run"), "--on-bad-image", "skip",
                                                        "--loss", "supcon", "--seed", "1"});
  EXPECT_THAT(done.err, HasSubstr("left out of the training images: "));
  const auto metrics = nlohmann::json::parse(text_of(root / "run/seed1/metrics.jsonl"));
  EXPECT_GE(metrics["replaced_images"].get<int>(), 1);
  EXPECT_THAT(done.out, HasSubstr("images replaced"));
}

TEST_F(Training, ConfigurationsOfTheProjectAreValid) {
  int found = 0;
  for (const auto& entry : fs::recursive_directory_iterator(tests::source_dir() / "configs")) {
    if (entry.path().extension() != ".toml") continue;
    ++found;
    must("clx-train", {"--config", entry.path().string(), "--print-config"});
    // Nothing but the missing data is wrong with it.
    refuses("clx-train", {"--config", entry.path().string(), "--output-dir", at("new")}, kUsage,
            {"data-dir: expected"});
  }
  EXPECT_EQ(found, 10);
}

TEST_F(Training, OptionsThatDoNotGoTogetherAreRefused) {
  const auto refused = [&](const Arguments& options, const std::vector<std::string>& parts,
                           int code = kUsage) {
    refuses("clx-train", kTinyTraining + Arguments{"--output-dir", at("new")} + options, code, parts);
  };
  refused({"--loss", "supcn"}, {"--loss", "did you mean supcon?"});
  refused({"--optimizer", "adamv"}, {"--optimizer", "did you mean adamw?"});
  refused({"--augment", "crop-flp"}, {"--augment", "did you mean crop-flip?"});
  refused({"--triplet-input", "head"}, {"triplet-input", "--loss triplet", "got --loss ce"});
  refused({"--loss", "supcon", "--margin", "0.2"}, {"margin", "--loss triplet"});
  refused({"--loss", "triplet", "--temperature", "0.2"}, {"temperature", "--loss supcon"});
  refused({"--loss", "triplet", "--label-smoothing", "0.1"}, {"label-smoothing", "--loss ce"});
  refused({"--optimizer", "adamw", "--nesterov"}, {"nesterov", "sgd", "got adamw"});
  refused({"--momentum", "0", "--nesterov"}, {"nesterov: expected momentum"});
  refused({"--decoupled"}, {"decoupled", "radam"});
  refused({"--warmup-epochs", "2"}, {"warmup-epochs: expected at most 1 epochs, got 2"});
  refused({"--processes", "3"}, {"batch-size: expected a multiple of the 3 processes, got 16"});
  refused({"--processes", "2", "--graph", "on"}, {"graph: expected auto or off with 2 processes"});
  refused({"--crop-scale", "0.2"}, {"crop-scale: expected low,high, got 1"});
  refused({"--crop-scale", "0.5,0.2"}, {"crop-scale: expected low,high, got 0.5,0.2"});
  refused({"--crop-scale", "0.2,1", "--crop-padding", "4"}, {"one kind of crop"});
  refused({"--jitter-p", "0.2"}, {"jitter-p", "--jitter"});
  refused({"--seeds", "4-0"}, {"seeds: expected a range", "'4-0'"});
  refused({"--seeds", "one"}, {"seeds: expected numbers and ranges", "'one'"});
  refused({"--classes-per-batch", "4"}, {"classes-per-batch", "--sampler pk"});
  refused({"--sampler", "pk"}, {"multiple of the batch's 10 classes, got 16"}, kFailed);
  refused({"--sampler", "pk", "--classes-per-batch", "11"}, {"batch size"}, kFailed);
  refused({"--sampler", "pk", "--classes-per-batch", "2"}, {"pk sampler", "at least 8 images of every class"},
          kFailed);
}

}  // namespace
}  // namespace clx
