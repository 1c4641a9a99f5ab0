// Captured work: what is replayed is what would have been done, to the bit.
#include "runtime/graph.h"

#include "runtime/allocator.h"
#include "runtime/dispatch.h"
#include "runtime/ops/add.h"
#include "runtime/ops/batchnorm.h"
#include "runtime/ops/conv2d.h"
#include "runtime/ops/cross_entropy.h"
#include "runtime/ops/linear.h"
#include "runtime/ops/pool.h"
#include "runtime/ops/relu.h"
#include "runtime/ops/sgd_step.h"
#include "tests/check_op.h"
#include "tests/devices.h"

namespace clx::tests {
namespace {

class GraphTest : public DeviceTest {
 protected:
  static Tensor numbers(const Shape& shape, unsigned seed, DType dtype = DType::f32) {
    return to_tensor(uniform(shape, seed, -1, 1, dtype), device(), dtype);
  }
  static bool captures() { return device().kind != DeviceKind::cpu; }
};
INSTANTIATE_TEST_SUITE_P(Devices, GraphTest, every_device(), device_name);

TEST_P(GraphTest, ReplayComputesFromWhatTheInputsHoldThen) {
  Tensor x = numbers({3, 5}, 1), y;
  const auto work = [&] { y = add(relu(x), x); };
  Graph graph(device());
  EXPECT_THROW(graph.replay(), Error);
  graph.capture(work);
  for (unsigned seed = 2; seed < 5; ++seed) {
    x.assign(numbers({3, 5}, seed));
    graph.replay();
    EXPECT_TRUE(same_bits(y, add(relu(x), x))) << seed;
  }
  EXPECT_THROW(graph.capture(work), Error) << "a second time";
}

// A convolution, batch normalisation, a head, their gradients and the optimizer: what a step is made of.
struct Network {
  Device device;
  DType dtype;
  Tensor w, gamma, beta, mean, var, head, bias;
  std::vector<Tensor> parameters, momentum;
  Step step;

  Network(Device device_, DType dtype_)
      : device(device_),
        dtype(dtype_),
        w(to_tensor(uniform({4, 3, 3, 2}, 1, -0.5, 0.5), device)),
        gamma(Tensor::full({4}, 1, device)),
        beta(Tensor::zeros({4}, device)),
        mean(Tensor::zeros({4}, device)),
        var(Tensor::full({4}, 1, device)),
        head(to_tensor(uniform({3, 4}, 2, -0.5, 0.5), device)),
        bias(Tensor::zeros({3}, device)),
        step(device) {
    for (Tensor* parameter : {&w, &gamma, &beta, &head, &bias}) {
      parameter->require_grad();
      parameters.push_back(*parameter);
    }
  }

  void train(const Tensor& images, const Tensor& labels) {
    const Tensor y = batchnorm(conv2d(images, w, {.padding = 1}), gamma, beta, mean, var,
                               {.training = true, .relu = true});
    const CrossEntropy ce = cross_entropy(linear(global_average_pool(y), head, bias), labels);
    for (Tensor& parameter : parameters)
      parameter.clear_grad();
    backward(ce.loss);
    sgd_step(parameters, momentum, step, {.momentum = 0.9f, .weight_decay = 1e-3f});
    step.advance(static_cast<int>(images.dim(0)), ce.loss, ce.correct);
  }

  std::vector<Tensor> tensors() const { return {w, gamma, beta, mean, var, head, bias, step.state()}; }
};

TEST_P(GraphTest, ReplayedTrainingStepsEqualPlainOnesAlsoWhenTheLearningRateChanges) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    Network plain(device(), dtype), captured(device(), dtype);
    Replayed step(device(), GraphMode::on, [&](const std::vector<Tensor>& batch) {
      captured.train(batch[0], batch[1]);
      return std::vector<Tensor>{};
    });
    for (int i = 0; i < 5; ++i) {
      const Tensor images = numbers({6, 5, 4, 2}, static_cast<unsigned>(10 + i), dtype),
                   labels = Tensor::from_host({6}, std::vector<std::int32_t>{0, 1, 2, i % 3, 1, 0}, device());
      const float lr = i < 3 ? 0.1f : 0.025f;
      plain.step.set_learning_rate(lr);
      captured.step.set_learning_rate(lr);
      plain.train(images, labels);
      step({images, labels});
      EXPECT_EQ(step.captured(), captures() && i > 0);
    }
    for (std::size_t i = 0; i < plain.tensors().size(); ++i)
      EXPECT_TRUE(same_bits(captured.tensors()[i], plain.tensors()[i])) << name_of(dtype) << ", tensor " << i;
    // Outside the graph, too, the last weights are seen.
    const Tensor x = numbers({1, 5, 4, 2}, 3, dtype);
    EXPECT_TRUE(same_bits(conv2d(x, captured.w), conv2d(x, plain.w))) << name_of(dtype);
    EXPECT_EQ(captured.step.read().step, 5);
  }
}

TEST_P(GraphTest, WeightsThatChangeBetweenReplaysAreRoundedAnew) {
  Tensor w = numbers({4, 1, 1, 2}, 1);
  const Tensor x = numbers({1, 3, 3, 2}, 2, DType::bf16);
  conv2d(x, w);  // whose copy in bf16 is kept
  Tensor y;
  Graph graph(device());
  graph.capture([&] { y = conv2d(x, w); });
  w.assign(numbers({4, 1, 1, 2}, 3));
  graph.replay();
  EXPECT_TRUE(same_bits(y, conv2d(x, w)));
}

TEST_P(GraphTest, ReplayCountsAsAWrite) {
  Tensor x = numbers({4}, 1);
  Graph graph(device());
  graph.capture([&] { x.assign(Tensor::full({4}, 2, device())); });
  const std::uint64_t before = x.version();
  graph.replay();
  EXPECT_GT(x.version(), before);
  EXPECT_EQ(to_array(x).values, std::vector<double>(4, 2));
}

TEST_P(GraphTest, MemoryOfTheGraphIsNobodyElses) {
  const Tensor x = numbers({1000}, 1);
  Tensor y;
  Graph graph(device());
  graph.capture([&] { y = add(add(x, x), add(relu(x), x)); });  // whose summands are freed
  graph.replay();
  std::vector<Tensor> others;
  for (int i = 0; i < 8; ++i)
    others.push_back(Tensor::full({1024 - 128}, 7, device()));  // as large with its guards as x without
  graph.replay();
  for (const Tensor& other : others)
    EXPECT_EQ(to_array(other).values, std::vector<double>(1024 - 128, 7));
  EXPECT_TRUE(same_bits(y, add(add(x, x), add(relu(x), x))));
}

TEST_P(GraphTest, ScratchOfTheGraphIsNobodyElses) {
  if (!captures()) GTEST_SKIP() << "a CPU captures nothing";
  const auto scratch = [] { return on(device(), [](const auto& backend) { return backend.workspace(64); }); };
  const void *const before = scratch(), *inside = nullptr;
  Graph graph(device());
  graph.capture([&] { inside = scratch(); });
  EXPECT_NE(inside, before);
  EXPECT_EQ(scratch(), before);
}

TEST_P(GraphTest, MemoryIsAnybodysWhenTheGraphIsGone) {
  const Tensor x = numbers({1000}, 1);
  const auto once = [&] {
    Tensor y;
    Graph graph(device());
    graph.capture([&] { y = add(add(x, x), add(relu(x), x)); });
    graph.replay();
  };
  once();
  once();
  const std::uint64_t calls = memory_stats(device()).system_calls;
  once();
  EXPECT_EQ(memory_stats(device()).system_calls, calls);
}

TEST_P(GraphTest, RefusesToWaitForTheDeviceOrToReadTheHost) {
  if (!captures()) GTEST_SKIP() << "a CPU captures nothing";
  const Tensor one = Tensor::full({1}, 3, device());
  Step step(device());
  const auto refusal = [&](const std::function<void()>& work) -> std::string {
    Graph graph(device());
    try {
      graph.capture(work);
    } catch (const Error& error) {
      EXPECT_FALSE(graph.captured());
      EXPECT_EQ(one.item(), 3) << "the device works on";
      return error.what();
    }
    return "none";
  };
  const std::string why =
      ": expected to be called outside a capture, got called within one; a graph neither waits for the "
      "device nor reads the host's memory";
  EXPECT_EQ(refusal([&] { one.item(); }), "item" + why);
  EXPECT_EQ(refusal([&] { one.to_host(); }), "to_host" + why);
  EXPECT_EQ(refusal([&] { one.to(kCpu); }), "to" + why);
  EXPECT_EQ(refusal([&] { Tensor::from_host({1}, std::vector<float>{1}, device()); }), "from_host" + why);
  EXPECT_EQ(refusal([&] { step.peek(); }), "to_host" + why);
  EXPECT_EQ(refusal([&] { step.set_learning_rate(1); }),
            "step: expected to be written outside a capture, got a capture");
  EXPECT_EQ(refusal([&] { Graph(device()).capture([] {}); }),
            "graph: expected one capture at a time, got one within another");
}

TEST_P(GraphTest, WhatCannotBeCapturedIsAnErrorOnlyWhereItMustBe) {
  if (!captures()) GTEST_SKIP() << "a CPU captures nothing";
  const Tensor x = numbers({3}, 1);
  const auto reads = [](const std::vector<Tensor>& in) {
    return std::vector{Tensor::full({1}, in[0].to_host()[0], in[0].device())};
  };
  Replayed on(device(), GraphMode::on, reads);
  on({x});
  EXPECT_THROW(on({x}), Error);
  Replayed off(device(), GraphMode::off, reads);
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(off({x})[0].item(), x.to_host()[0]);
}

TEST_P(GraphTest, HostCountsAtEachReplayAndNotAtTheCapture) {
  int count = 0;
  each_time([&] { ++count; });
  EXPECT_EQ(count, 1);
  Graph graph(device());
  graph.capture([&] { each_time([&] { ++count; }); });
  EXPECT_EQ(count, 1);
  graph.replay();
  graph.replay();
  EXPECT_EQ(count, 3);
}

TEST_P(GraphTest, OtherShapesRunPlainlyBetweenReplays) {
  int calls = 0;
  Replayed twice(device(), GraphMode::on, [&](const std::vector<Tensor>& in) {
    ++calls;
    return std::vector{add(in[0], in[0])};
  });
  for (const std::int64_t n : {4, 4, 4, 3, 4, 3, 3, 4}) {
    const Tensor x = numbers({n}, static_cast<unsigned>(calls + 1));
    EXPECT_TRUE(same_bits(twice({x})[0], add(x, x))) << n;
  }
  EXPECT_EQ(calls, captures() ? 5 : 8) << "one to warm up, one captured, three of another shape";
}

TEST_P(GraphTest, KeptResultsAreNotOverwritten) {
  Replayed twice(device(), GraphMode::on,
                 [](const std::vector<Tensor>& in) { return std::vector{add(in[0], in[0])}; });
  std::vector<Tensor> inputs, results;
  for (unsigned seed = 1; seed < 6; ++seed) {
    inputs.push_back(numbers({4}, seed));
    results.push_back(twice.keep({inputs.back()})[0]);
  }
  for (std::size_t i = 0; i < inputs.size(); ++i)
    EXPECT_TRUE(same_bits(results[i], add(inputs[i], inputs[i]))) << i;
}

TEST(GraphTensors, AssignRefusesOtherContents) {
  Tensor x = Tensor::zeros({2});
  EXPECT_THROW(x.assign(Tensor::zeros({3})), Error);
  EXPECT_THROW(x.assign(Tensor::zeros({2}, kCpu, DType::i32)), Error);
  EXPECT_THROW(x.assign(Tensor::zeros({2}, kEmulated)), Error);
  EXPECT_THROW(x.assign(Tensor()), Error);
}

}  // namespace
}  // namespace clx::tests
