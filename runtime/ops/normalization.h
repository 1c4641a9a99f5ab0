// Checks of batches made from u8 images, that ops share. Internal to runtime/ops.
#pragma once

#include <vector>

#include "kernels/augment.h"
#include "runtime/capture.h"
#include "runtime/ops/require.h"

namespace clx {

/// Throws Error unless `samples` (N) i64 has elements, all at least 0 and, if `count` > 0, below it. Their
/// values are checked only where reading them does not wait for a device, and not under capture.
inline void require_samples(const char* op, const Tensor& samples, std::int64_t count, Device device) {
  CLX_CHECK(samples.defined() && samples.size() > 0, op, ": expected at least one sample");
  require(op, "samples", samples, DType::i64, {samples.dim(0)}, device);
  if (device.kind == DeviceKind::cuda || current_capture(device)) return;
  const std::int64_t* sample = samples.data<std::int64_t>();
  for (std::int64_t i = 0; i < samples.size(); ++i)
    CLX_CHECK(sample[i] >= 0 && (count == 0 || sample[i] < count), op, ": expected a sample ",
              count == 0 ? std::string("of at least 0") : concat("within 0…", count - 1), ", got ",
              sample[i]);
}

/// Mean and std per channel; empty: 0 and 1. Throws Error if they do not fit C channels or a std is not above
/// 0.
inline kernels::Normalization normalization(const char* op,
                                            const std::vector<float>& mean,
                                            const std::vector<float>& std,
                                            int C) {
  const auto fits = [&](const std::vector<float>& v) { return v.empty() || static_cast<int>(v.size()) == C; };
  CLX_CHECK(fits(mean) && fits(std), op, ": expected mean and std of ", C, " channels, got ", mean.size(),
            " and ", std.size());
  kernels::Normalization n;
  for (std::size_t c = 0; c < static_cast<std::size_t>(C); ++c) {
    if (!mean.empty()) n.mean[c] = mean[c];
    if (!std.empty()) n.std[c] = std[c];
    CLX_CHECK(n.std[c] > 0, op, ": expected standard deviations above 0, got ", n.std[c]);
  }
  return n;
}

}  // namespace clx
