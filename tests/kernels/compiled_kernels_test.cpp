// The emulator's second layer: what nvcc made of the kernels is executed, and computes what g++'s code does.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cuda/emulator/compiled.h"
#include "kernels/cuda/emulator/config.h"
#include "kernels/softmax.h"
#include "tests/kernels/device_array.h"
#include "tests/kernels/instruction_checks.h"
#include "tests/kernels/whole_numbers.h"

namespace clx::kernels {
namespace {

/// The layers of a build with nvcc, oldest GPU first.
const emulator::Layer kCompiled[] = {emulator::Layer::sm_80, emulator::Layer::sm_90a};

class CompiledKernels : public testing::Test {
 protected:
  void SetUp() override {
    if (emulator::compiled_kernels().empty()) GTEST_SKIP() << "this build has no nvcc";
  }
  void TearDown() override { emulator::set_config(before_); }
  void run_on(emulator::Layer layer) {
    auto config = before_;
    config.layer = layer;
    config.rough = false;  // the source's 2^x is exact
    emulator::set_config(config);
  }

 private:
  const emulator::Config before_ = emulator::config();
};

TEST_F(CompiledKernels, EveryInstructionIsKnown) {
  EXPECT_THAT(emulator::undecodable_kernels(), testing::IsEmpty());
}

TEST_F(CompiledKernels, AreThereForBothArchitectures) {
  std::map<int, std::set<std::string>> names;
  for (const auto& kernel : emulator::compiled_kernels())
    names[kernel.target].insert(kernel.name + " " + kernel.file);
  EXPECT_GE(names[80].size(), 100u);
  EXPECT_EQ(names[80], names[90]);
}

TEST_F(CompiledKernels, GiveTheBitsOfTheSource) {
  const int rows = 9, cols = 37;
  const auto x = uniform(std::size_t(rows * cols), 3);
  const DeviceArray<Emulated, float> in(Emulated{}, x), out(Emulated{}, x.size());
  run_on(emulator::Layer::source);
  softmax_forward(Emulated{}, rows, cols, in, out);
  const auto expected = out.to_host();
  for (const auto layer : kCompiled) {
    zero(Emulated{}, x.size() * sizeof(float), out);
    run_on(layer);
    softmax_forward(Emulated{}, rows, cols, in, out);
    const auto y = out.to_host();
    for (std::size_t i = 0; i < y.size(); ++i)
      ASSERT_FLOAT_EQ(y[i], expected[i]) << "element " << i;
  }
}

}  // namespace
}  // namespace clx::kernels
