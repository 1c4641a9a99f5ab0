// Machines whose GPUs cannot be used, and what is said of them.
#include "kernels/cuda/gpu_trouble.h"

#include <gtest/gtest.h>

namespace clx::kernels {
namespace {

// An H200 with a driver as new as the program.
const GpuFacts kGood{.driver = 13000, .runtime = 13000, .count = 2, .name = "NVIDIA H200", .capability = 90};
constexpr const char* kBuilt = "80 90a";

TEST(GpuTrouble, NoneWhereEverythingFits) {
  EXPECT_EQ(gpu_trouble(kGood, 0, kBuilt), "");
  EXPECT_EQ(gpu_trouble(kGood, 1, kBuilt), "");
  GpuFacts newer = kGood;
  newer.driver = 13020;
  EXPECT_EQ(gpu_trouble(newer, 0, kBuilt), "");
}

TEST(GpuTrouble, NoDriver) {
  GpuFacts f{.error = "CUDA driver version is insufficient for CUDA runtime version", .runtime = 13000};
  EXPECT_EQ(gpu_trouble(f, 0, kBuilt), "expected an NVIDIA driver, got none");
}

TEST(GpuTrouble, DriverTooOld) {
  GpuFacts f{.error = "CUDA driver version is insufficient", .driver = 12040, .runtime = 13000};
  EXPECT_EQ(gpu_trouble(f, 0, kBuilt),
            "expected an NVIDIA driver for CUDA 13.0 or later, got one for CUDA 12.4");
}

TEST(GpuTrouble, WhatTheDriverSays) {
  GpuFacts f{.error = "no CUDA-capable device is detected", .driver = 13000, .runtime = 13000};
  EXPECT_EQ(gpu_trouble(f, 0, kBuilt),
            "expected a GPU, got from the driver: no CUDA-capable device is detected");
}

TEST(GpuTrouble, GpuThatIsNotThere) {
  EXPECT_EQ(gpu_trouble(kGood, 2, kBuilt), "expected one of 2 GPUs, got cuda:2");
}

TEST(GpuTrouble, GpuThatNothingWasCompiledFor) {
  GpuFacts f = kGood;
  f.name = "Tesla T4";
  f.capability = 75;
  EXPECT_EQ(gpu_trouble(f, 0, kBuilt),
            "expected a GPU that this program was compiled for (80 90a), got Tesla T4 of compute capability "
            "7.5, and "
            "the kernels need 8.0 or later");
  f.name = "NVIDIA A100";
  f.capability = 80;
  EXPECT_EQ(
      gpu_trouble(f, 0, "90a"),
      "expected a GPU that this program was compiled for (90a), got NVIDIA A100 of compute capability 8.0; "
      "configure with -DCLX_CUDA_ARCHITECTURES=80");
  EXPECT_NE(gpu_trouble(kGood, 0, "80-real").find("-DCLX_CUDA_ARCHITECTURES=90a"), std::string::npos);
}

TEST(GpuTrouble, WhichGpusCodeRunsOn) {
  struct Case {
    const char* architectures;
    int capability;
    bool runs;
  };
  for (const Case& c : {Case{"80", 80, true},
                        {"80", 75, false},
                        {"80", 89, true},
                        {"80", 100, true},
                        {"80-real", 86, true},
                        {"80-real", 90, false},
                        {"86-real", 80, false},
                        {"80-virtual", 120, true},
                        {"90a", 90, true},
                        {"90a", 80, false},
                        {"90a", 100, false},
                        {"90a-real", 90, true},
                        {"80-real 90a", 90, true},
                        {"80-real 90a", 100, false},
                        {"120 80", 86, true},
                        {"native", 75, true}})
    EXPECT_EQ(compiled_for(c.architectures, c.capability), c.runs)
        << c.architectures << " on " << c.capability;
}

}  // namespace
}  // namespace clx::kernels
