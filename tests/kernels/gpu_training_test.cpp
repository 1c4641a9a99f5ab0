// kernels/cuda/softmax.cu, sgd.cu, augment.cu and step_state.cu on the emulator against plain loops in
// double.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <gtest/gtest.h>
#include <limits>
#include <random>
#include <vector>

#include "kernels/augment.h"
#include "kernels/philox.h"
#include "kernels/sgd.h"
#include "kernels/softmax.h"
#include "kernels/step_state.h"
#include "tests/kernels/emulated_arrays.h"

namespace clx::tests {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// ------------------------------------------------------------------------------------ softmax
struct Rows {
  int rows, cols;
};
// Fewer columns than lanes, one past a warp's, many; rows one past a block's, and more rows than the summing
// block has threads.
class GpuSoftmax : public testing::TestWithParam<Rows> {
 protected:
  int rows = GetParam().rows, cols = GetParam().cols;
  std::int64_t n = std::int64_t(rows) * cols;
  EmulatedKernels gpu;

  std::vector<double> softmax(const HostArray& x) const {
    std::vector<double> y(n);
    for (int i = 0; i < rows; ++i) {
      double m = -kInfinity, sum = 0;
      for (int j = 0; j < cols; ++j)
        m = std::max(m, x[i * cols + j]);
      for (int j = 0; j < cols; ++j)
        sum += std::exp(x[i * cols + j] - m);
      for (int j = 0; j < cols; ++j)
        y[i * cols + j] = std::exp(x[i * cols + j] - m) / sum;
    }
    return y;
  }
  std::vector<std::int32_t> labels() const {
    std::vector<std::int32_t> out;
    for (int i = 0; i < rows; ++i)
      out.push_back(static_cast<std::int32_t>((i * 7 + 3) % cols));
    return out;
  }
};
INSTANTIATE_TEST_SUITE_P(Sizes,
                         GpuSoftmax,
                         testing::Values(Rows{1, 1}, Rows{5, 10}, Rows{3, 33}, Rows{2, 1000}, Rows{521, 7}));

TEST_P(GpuSoftmax, ForwardAndBackwardFollowTheirFormulas) {
  const HostArray x = normal_array(n, 1, DType::f32, 100, 5), y(n, DType::f32);
  const HostArray dy = normal_array(n, 2), dx(n, DType::f32);
  kernels::softmax_forward(gpu(), rows, cols, x.as<float>(), y.as<float>());
  kernels::softmax_backward(gpu(), rows, cols, y.as<float>(), dy.as<float>(), dx.as<float>());
  expect_near(y, softmax(x), 3e-6, 1e-12, "y");
  std::vector<double> expected(n);
  for (int i = 0; i < rows; ++i) {
    double dot = 0;
    for (int j = 0; j < cols; ++j)
      dot += y[i * cols + j] * dy[i * cols + j];
    for (int j = 0; j < cols; ++j)
      expected[i * cols + j] = y[i * cols + j] * (dy[i * cols + j] - dot);
  }
  expect_near(dx, expected, 1e-6, 1e-6, "dx");
}

TEST_P(GpuSoftmax, CrossEntropyIsTheMeanOverRowsAndItsGradientFollows) {
  for (const float smoothing : {0.0f, 0.1f}) {
    const HostArray x = normal_array(n, 1, DType::f32, -50, 4), p(n, DType::f32), loss(1, DType::f32);
    const std::vector<std::int32_t> label = labels();
    std::int32_t correct = -1;
    kernels::cross_entropy_forward(gpu(), rows, cols, x.as<float>(), label.data(), smoothing, p.as<float>(),
                                   loss.as<float>(), &correct);
    const std::vector<double> expected_p = softmax(x);
    std::vector<double> expected_loss(1), expected_gradient(n);
    const float dloss = 2.5f;
    int expected_correct = 0;
    for (int i = 0; i < rows; ++i) {
      int best = 0;
      for (int j = 0; j < cols; ++j) {
        const std::int64_t k = std::int64_t(i) * cols + j;
        const double q = (j == label[i] ? 1 - smoothing : 0) + smoothing / static_cast<double>(cols);
        expected_loss[0] -= q * std::log(expected_p[k]) / rows;
        expected_gradient[k] = (expected_p[k] - q) * dloss / rows;
        if (x[k] > x[std::int64_t(i) * cols + best]) best = j;
      }
      expected_correct += best == label[i];
    }
    expect_near(p, expected_p, 3e-6, 1e-12, "p");
    expect_near(loss, expected_loss, 2e-6, 1e-6, "loss");
    EXPECT_EQ(correct, expected_correct);
    const HostArray gradient(n, DType::f32);
    kernels::cross_entropy_backward(gpu(), rows, cols, p.as<float>(), label.data(), smoothing, &dloss,
                                    gradient.as<float>());
    expect_near(gradient, expected_gradient, 1e-5, 1e-6 / rows, "dlogits");
  }
}

TEST_P(GpuSoftmax, PickTakesOneColumnPerRow) {
  const HostArray x = normal_array(n, 1), y(rows, DType::f32), dy = normal_array(rows, 2), dx(n, DType::f32);
  const std::vector<std::int32_t> column = labels();
  kernels::pick_forward(gpu(), rows, cols, x.as<float>(), column.data(), y.as<float>());
  kernels::pick_backward(gpu(), rows, cols, column.data(), dy.as<float>(), dx.as<float>());
  for (int i = 0; i < rows; ++i) {
    EXPECT_EQ(y[i], x[i * cols + column[i]]);
    for (int j = 0; j < cols; ++j)
      ASSERT_EQ(dx[i * cols + j], j == column[i] ? dy[i] : 0.0);
  }
}

TEST(GpuCrossEntropy, ATieCountsForItsFirstColumnOnly) {
  EmulatedKernels gpu;
  const std::vector<float> logits{1, 2, 2, 2, 1, 2};
  std::vector<float> p(6);
  float loss = 0;
  std::int32_t correct = -1;
  const std::vector<std::int32_t> first{1, 0}, second{2, 2};
  kernels::cross_entropy_forward(gpu(), 2, 3, logits.data(), first.data(), 0, p.data(), &loss, &correct);
  EXPECT_EQ(correct, 2);
  kernels::cross_entropy_forward(gpu(), 2, 3, logits.data(), second.data(), 0, p.data(), &loss, &correct);
  EXPECT_EQ(correct, 0);
}

TEST(GpuCrossEntropy, LargeLogitsDoNotOverflowAndMinusInfinityIsAnImpossibleClass) {
  EmulatedKernels gpu;
  const std::vector<float> logits{1e4f, -kInfinity, 9.99e3f};
  std::vector<float> p(3);
  const std::int32_t label = 2;
  float loss = 0;
  std::int32_t correct = -1;
  kernels::cross_entropy_forward(gpu(), 1, 3, logits.data(), &label, 0, p.data(), &loss, &correct);
  EXPECT_NEAR(loss, 10 + std::log1p(std::exp(-10.0)), 1e-5);
  EXPECT_EQ(p[1], 0);
}

// ------------------------------------------------------------------------------------ sgd
struct SgdCase {
  float momentum, dampening, weight_decay;
  bool nesterov;
};
class GpuSgd : public testing::TestWithParam<SgdCase> {};
INSTANTIATE_TEST_SUITE_P(Options,
                         GpuSgd,
                         testing::Values(SgdCase{0, 0, 0, false},
                                         SgdCase{0, 0.5f, 1e-2f, false},
                                         SgdCase{0.9f, 0, 5e-4f, false},
                                         SgdCase{0.9f, 0.3f, 0, false},
                                         SgdCase{0.8f, 0, 1e-3f, true}));

// More tensors than one launch takes, of every kind of size: none, one, ragged, a tile, a tile and one,
// several.
TEST_P(GpuSgd, TwoStepsOverManyTensorsFollowTheFormula) {
  const SgdCase option = GetParam();
  EmulatedKernels gpu;
  const std::vector<std::int64_t> sizes{1, 7, 0, 64, 4096, 33, 4097, 0, 12301, 2};
  std::vector<HostArray> theta, gradient, momentum;
  std::vector<kernels::SgdTensor> tensors;
  for (int i = 0; i < 203; ++i) {
    const std::int64_t n = i < 100 || i >= 193 ? sizes[i % sizes.size()] : 5;
    theta.push_back(normal_array(n, 3 * i, DType::f32, 0, 1, i % 7 == 0 ? 1 : 0));
    gradient.push_back(normal_array(n, 3 * i + 1));
    momentum.push_back(HostArray(n, DType::f32));
    tensors.push_back({theta[i].as<float>(), gradient[i].as<float>(),
                       option.momentum != 0 ? momentum[i].as<float>() : nullptr, n});
  }
  std::vector<std::vector<double>> expected, buffer;
  for (const HostArray& t : theta) {
    expected.push_back(t.values());
    buffer.push_back(std::vector<double>(t.size()));
  }
  StepState state;
  for (int step = 0; step < 2; ++step) {
    state.learning_rate = step == 0 ? 0.1f : 0.05f;
    state.step = step;
    kernels::sgd_step(gpu(), static_cast<int>(tensors.size()), tensors.data(),
                      {option.momentum, option.dampening, option.weight_decay, option.nesterov}, &state);
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      for (std::int64_t k = 0; k < tensors[i].size; ++k) {
        double d = gradient[i][k] + option.weight_decay * expected[i][k];
        if (option.momentum != 0) {
          double& b = buffer[i][k];
          b = step == 0 ? d : option.momentum * b + (1 - option.dampening) * d;
          d = option.nesterov ? d + option.momentum * b : b;
        }
        expected[i][k] -= state.learning_rate * d;
      }
      expect_near(theta[i], expected[i], 1e-6, 1e-6, "theta");
      if (option.momentum != 0) expect_near(momentum[i], buffer[i], 1e-6, 1e-6, "momentum");
    }
  }
}

// ------------------------------------------------------------------------------------ augment
using kernels::GatherShape;
using kernels::Normalization;

class GpuGather : public testing::TestWithParam<std::tuple<GatherShape, DType>> {};
INSTANTIATE_TEST_SUITE_P(Shapes,
                         GpuGather,
                         testing::Combine(testing::Values(GatherShape{5, 32, 32, 3, 4, true},
                                                          GatherShape{3, 7, 11, 1, 2, false},
                                                          GatherShape{4, 9, 5, 4, 0, true},
                                                          GatherShape{2, 13, 17, 3, 0, false}),
                                          testing::Values(DType::f32, DType::bf16)));

TEST_P(GpuGather, CropsThenMirrorsThenNormalises) {
  const auto& [s, dtype] = GetParam();
  EmulatedKernels gpu;
  const int images_stored = 11;
  const std::int64_t size = std::int64_t(s.H) * s.W * s.C;
  std::mt19937 generator(1);
  std::vector<std::uint8_t> images(images_stored * size);
  for (std::uint8_t& pixel : images)
    pixel = static_cast<std::uint8_t>(generator());
  const std::vector<std::int64_t> samples{10, 3, 3, 0, 7};
  const Normalization norm{{0.4914f, 0.4822f, 0.4465f, 0.5f}, {0.247f, 0.2435f, 0.2616f, 0.2f}};
  StepState state;
  state.seed = 0x123456789abcdefull;
  state.epoch = 17;
  const bool random = s.padding > 0 || s.flip;
  const HostArray y(s.N * size, dtype);
  kernels::gather_images(gpu(), s, norm, images.data(), samples.data(), random ? &state : nullptr, y.view());

  std::vector<double> expected;
  for (int n = 0; n < s.N; ++n) {
    const Philox4 words = philox(state.seed, Purpose::crop_flip, 17, static_cast<std::uint64_t>(samples[n]));
    const int top = static_cast<int>(uniform_below(words.v[0], 2 * s.padding + 1));
    const int left = static_cast<int>(uniform_below(words.v[1], 2 * s.padding + 1));
    const bool mirror = s.flip && uniform01(words.v[2]) < 0.5f;
    const auto cropped = [&](int h, int w, int c) {
      const int from_h = h + top - s.padding, from_w = w + left - s.padding;
      if (from_h < 0 || from_h >= s.H || from_w < 0 || from_w >= s.W) return 0;
      return static_cast<int>(images[samples[n] * size + (from_h * s.W + from_w) * s.C + c]);
    };
    for (int h = 0; h < s.H; ++h)
      for (int w = 0; w < s.W; ++w)
        for (int c = 0; c < s.C; ++c)
          expected.push_back((cropped(h, mirror ? s.W - 1 - w : w, c) / 255.0 - norm.mean[c]) / norm.std[c]);
  }
  expect_near(y, expected, 1e-6, 1e-6, "y");
}

TEST_P(GpuGather, AgreesWithTheCpuBitForBit) {
  const auto& [s, dtype] = GetParam();
  EmulatedKernels gpu;
  const std::int64_t size = std::int64_t(s.H) * s.W * s.C;
  std::vector<std::uint8_t> images(7 * size);
  for (std::size_t i = 0; i < images.size(); ++i)
    images[i] = static_cast<std::uint8_t>(i * 37 % 251);
  const std::vector<std::int64_t> samples{6, 2, 5, 0, 1};
  const Normalization norm{{0.4914f, 0.4822f, 0.4465f, 0.5f}, {0.247f, 0.2435f, 0.2616f, 0.2f}};
  StepState state;
  state.seed = 99;
  state.epoch = 3;
  const HostArray y(s.N * size, dtype), on_cpu(s.N * size, dtype);
  kernels::gather_images(gpu(), s, norm, images.data(), samples.data(), &state, y.view());
  kernels::gather_images(Cpu{}, s, norm, images.data(), samples.data(), &state, on_cpu.view());
  EXPECT_EQ(y.values(), on_cpu.values());
}

TEST(GpuGatherDetails, LabelsFollowTheirSamples) {
  EmulatedKernels gpu;
  std::vector<std::int32_t> labels(500), y(257, -1);
  std::vector<std::int64_t> samples;
  for (int i = 0; i < 500; ++i)
    labels[i] = i * 3;
  for (int i = 0; i < 257; ++i)
    samples.push_back(i * 31 % 500);
  kernels::gather_labels(gpu(), 257, labels.data(), samples.data(), y.data());
  for (int i = 0; i < 257; ++i)
    EXPECT_EQ(y[i], labels[samples[i]]);
}

// ------------------------------------------------------------------------------------ step state
TEST(GpuStepState, AddsBatchesAndNotesTheFirstBadStep) {
  EmulatedKernels gpu;
  StepState state;
  state.learning_rate = 0.25f;
  state.seed = 9;
  const std::vector<float> losses{1.5f, 2, kInfinity, kNan};
  const std::int32_t correct = 3;
  for (std::size_t i = 0; i < losses.size(); ++i) {
    kernels::step_state_advance(gpu(), 10, &losses[i], &correct, &state);
    EXPECT_EQ(state.step, static_cast<int>(i) + 1);
    EXPECT_EQ(state.first_bad_step, i < 2 ? -1 : 2);
    if (i == 1) {
      EXPECT_EQ(state.loss_sum, 3.5);
    }
  }
  EXPECT_EQ(state.batches, 4);
  EXPECT_EQ(state.correct, 12);
  EXPECT_EQ(state.seen, 40);
  EXPECT_EQ(state.learning_rate, 0.25f);
  EXPECT_EQ(state.seed, 9u);
}

}  // namespace
}  // namespace clx::tests
