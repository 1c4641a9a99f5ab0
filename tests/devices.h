// The devices that a test runs on.
#pragma once

#include <gtest/gtest.h>
#include <string>

#include "runtime/device.h"

namespace clx::tests {

/// A suite that runs once per device; on a GPU only where there is one. Used as
///
///   class Relu : public DeviceTest {};
///   INSTANTIATE_TEST_SUITE_P(Devices, Relu, every_device(), device_name);
class DeviceTest : public testing::TestWithParam<Device> {
 protected:
  void SetUp() override {
    if (!available(GetParam().kind)) GTEST_SKIP() << "needs a GPU and a build with kernels for it";
  }
  static Device device() { return GetParam(); }
};

inline auto every_device() {
  return testing::Values(kCpu, kEmulated, Device{DeviceKind::cuda, 0});
}

inline std::string device_name(const testing::TestParamInfo<Device>& info) {
  switch (info.param.kind) {
    case DeviceKind::cuda:
      return "cuda";
    case DeviceKind::emulated:
      return "emulated";
    default:
      return "cpu";
  }
}

}  // namespace clx::tests
