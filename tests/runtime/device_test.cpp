#include "runtime/device.h"

#include <gtest/gtest.h>

#include "runtime/check.h"

namespace clx::tests {
namespace {

TEST(Devices, AreParsed) {
  EXPECT_EQ(parse_device("cpu"), kCpu);
  EXPECT_EQ(parse_device("emulated"), kEmulated);
  if (available(DeviceKind::cuda)) {
    EXPECT_EQ(parse_device("cuda"), (Device{DeviceKind::cuda, 0}));
    EXPECT_EQ(parse_device("cuda:0"), (Device{DeviceKind::cuda, 0}));
  }
}

TEST(Devices, ArePrintedAsTheyAreParsed) {
  EXPECT_EQ(concat(kCpu, ' ', kEmulated, ' ', Device{DeviceKind::cuda, 3}), "cpu emulated cuda:3");
}

TEST(Devices, AutoIsAGpuOrTheCpuAndNeverTheEmulator) {
  const Device expected = available(DeviceKind::cuda) ? Device{DeviceKind::cuda, 0} : kCpu;
  EXPECT_EQ(parse_device("auto"), expected);
}

TEST(Devices, CpuAndEmulatorAreAlwaysThere) {
  EXPECT_TRUE(available(DeviceKind::cpu));
  EXPECT_TRUE(available(DeviceKind::emulated));
}

TEST(Devices, RefuseWhatIsNone) {
  for (const char* text : {"", "gpu", "CPU", "cpu:0", "cuda:", "cuda:x", "cuda:1x", "cuda:-1", "cuda: 1",
                           "cuda:99999999999", "cudax", "emulated:1"})
    EXPECT_THROW(parse_device(text), Error) << "'" << text << "'";
}

TEST(Devices, RefuseAGpuThatIsNotThere) {
  EXPECT_THROW(parse_device("cuda:1000"), Error);
  if (!available(DeviceKind::cuda)) {
    EXPECT_THROW(parse_device("cuda"), Error);
  }
}

TEST(Devices, SayWhatWasExpected) {
  try {
    parse_device("gpu");
    FAIL() << "expected an error";
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "device: expected auto, cpu, cuda, cuda:N or emulated, got 'gpu'");
  }
}

}  // namespace
}  // namespace clx::tests
