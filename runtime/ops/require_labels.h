// The check of class labels that ops share. Internal to runtime/ops.
#pragma once

#include "runtime/capture.h"
#include "runtime/check.h"
#include "runtime/tensor.h"

namespace clx {

/// Throws Error if one of `labels` (i32) lies outside 0 … classes − 1. Only where reading them does not
/// wait for a device: on the cpu and the emulator, and there not under capture, when they may be yet to come.
inline void require_labels(const char* op, const Tensor& labels, std::int64_t classes) {
  if (labels.device().kind == DeviceKind::cuda || current_capture(labels.device())) return;
  const std::int32_t* label = labels.data<std::int32_t>();
  for (std::int64_t i = 0; i < labels.size(); ++i)
    CLX_CHECK(label[i] >= 0 && label[i] < classes, op, ": expected a class within 0…", classes - 1, ", got ",
              label[i], " for sample ", i);
}

}  // namespace clx
