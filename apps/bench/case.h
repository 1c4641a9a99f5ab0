// One row of the benchmark table: what is timed, how much it computes and moves, and the check of its result.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "runtime/tensor.h"

namespace clx::app {

/// Which peak a row is held against.
enum class Bound { arithmetic, memory };

/// The tensors of a row live in these closures.
struct Workload {
  std::function<void()> run;    // queues one execution on the device
  std::function<void()> check;  // runs it and throws Error if the result is wrong
};

struct Case {
  std::string name;  // "<what>/<device>/<sizes>_<dtype>"
  Bound bound = Bound::arithmetic;
  DType dtype = DType::f32;     // of the operands, hence of the peak
  double flops = 0, bytes = 0;  // of one execution; every operand moves once, intermediate results never
  double images = 0;            // of one execution; 0 where they are no measure
  std::function<Workload()> prepare;
  std::string library{};  // the row before that has the same computed by NVIDIA's library; "" if none has
};

/// Sizes are those of the networks that we train; a few numbers of each on the emulator.
std::vector<Case> convolution_cases(Device device);
std::vector<Case> batchnorm_cases(Device device);
std::vector<Case> elementwise_cases(Device device);
std::vector<Case> product_cases(Device device);
std::vector<Case> head_cases(Device device);
std::vector<Case> supcon_cases(Device device);
std::vector<Case> triplet_cases(Device device);
std::vector<Case> augment_cases(Device device);
std::vector<Case> xai_cases(Device device);
/// The teaching ladder (docs/ladder.md); none on the CPU.
std::vector<Case> ladder_cases(Device device);
/// Whole training steps and inference; none on the emulator.
std::vector<Case> network_cases(Device device);
/// Batches of images of a folder (as of --dataset folder), read by as many threads as compute; none without
/// one.
std::vector<Case> data_cases(Device device, const std::filesystem::path& folder);

/// Returns when everything queued on the device is done.
void wait_for(Device device);

}  // namespace clx::app
