#include "runtime/autograd.h"

#include "runtime/allocator.h"
#include "runtime/ops/add.h"
#include "runtime/ops/linear.h"
#include "runtime/ops/relu.h"
#include "runtime/ops/sgd_step.h"
#include "runtime/ops/softmax.h"
#include "tests/check_op.h"
#include "tests/devices.h"
#include "tests/reference/add.h"
#include "tests/reference/matmul.h"

namespace clx::tests {
namespace {

class Autograd : public DeviceTest {
 protected:
  static Tensor leaf(Shape shape, float value) {
    Tensor t = Tensor::full(std::move(shape), value, device());
    return t.require_grad();
  }
  // Changes the contents of `t` in place.
  static void write(Tensor& t) {
    std::vector<Tensor> parameters{t.detach()}, buffers;
    parameters[0].require_grad();
    const Tensor ones = Tensor::full({t.size(), 1}, 1, device());
    backward(matmul(parameters[0].reshape({1, t.size()}), ones));
    Step step(device());
    step.set_learning_rate(1);
    sgd_step(parameters, buffers, step, {});
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, Autograd, every_device(), device_name);

std::string message_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

TEST_P(Autograd, SumsTheGradientsOfASharedSubexpression) {
  // y = h·h with h = a + a, a matrix.
  check_op(
      device(), {{uniform({4, 4}, 1)}},
      [](const auto& in) {
        const Tensor h = add(in[0], in[0]);
        return matmul(h, h);
      },
      [](const auto& in) {
        const Array h = reference::add(in[0], in[0]);
        return reference::matmul(h, h);
      });
}

TEST_P(Autograd, FollowsBothSidesOfADiamond) {
  // The sides have different lengths: the top must wait for both.
  Tensor x = leaf({1}, 3);
  const Tensor top = add(x, x);                                    // 2x
  const Tensor right = add(add(add(top, top), top), add(top, x));  // 3·2x + 2x + x
  const Tensor y = add(top, right);                                // 11x
  EXPECT_EQ(y.item(), 33);
  EXPECT_EQ(grad(y, {x}, {.keep_graph = true})[0].item(), 11);
  EXPECT_EQ(grad(y, {top}, {.keep_graph = true})[0].item(), 5);
  EXPECT_EQ(grad(y, {right, x})[1].item(), 11);
}

TEST_P(Autograd, GivesTheGradientOfAnIntermediate) {
  Tensor w = to_tensor(uniform({3, 4}, 2), device());
  const Tensor x = to_tensor(uniform({2, 4}, 1), device());
  const Tensor h = linear(x, w.require_grad(), {});
  const Tensor y = softmax(h);
  const Tensor dy = to_tensor(uniform({2, 3}, 3), device());
  const Tensor dh = grad(y, {h}, {.dy = dy})[0];
  Tensor alone = h.detach();
  alone.require_grad();
  EXPECT_TRUE(same_bits(dh, grad(softmax(alone), {alone}, {.dy = dy})[0]));
  EXPECT_FALSE(w.grad().defined()) << "grad touches no leaf";
}

TEST_P(Autograd, GivesTheGradientOfTheResultItself) {
  Tensor x = leaf({2}, 1);
  const Tensor y = relu(x), dy = Tensor::from_host({2}, std::vector<float>{3, 4}, device());
  EXPECT_EQ(grad(y, {y}, {.dy = dy})[0].to_host(), (std::vector<float>{3, 4}));
}

TEST_P(Autograd, GivesSeveralGradientsAtOnceInTheOrderAsked) {
  Tensor a = to_tensor(uniform({2, 3}, 1), device()), b = to_tensor(uniform({3, 2}, 2), device());
  const Tensor c = matmul(a.require_grad(), b.require_grad());
  const auto gradients = grad(c, {b, a, b});
  ASSERT_EQ(gradients.size(), 3u);
  EXPECT_EQ(gradients[0].shape(), b.shape());
  EXPECT_EQ(gradients[1].shape(), a.shape());
  EXPECT_TRUE(same_bits(gradients[2], gradients[0]));
}

TEST_P(Autograd, AccumulatesOnLeavesUntilCleared) {
  Tensor x = leaf({1}, 2);
  EXPECT_FALSE(x.grad().defined());
  backward(add(x, x));
  EXPECT_EQ(x.grad().item(), 2);
  backward(add(x, add(x, x)));
  EXPECT_EQ(x.grad().item(), 5);
  x.clear_grad();
  EXPECT_FALSE(x.grad().defined());
  backward(add(x, x));
  EXPECT_EQ(x.grad().item(), 2);
}

TEST_P(Autograd, AccumulationDoesNotSpoilABufferGivenToTwoInputs) {
  Tensor a = leaf({1}, 1), b = leaf({1}, 1);
  backward(add(a, b));  // both gradients are the one buffer dy
  const Tensor first = b.grad();
  backward(add(a, a));
  EXPECT_EQ(a.grad().item(), 3);
  EXPECT_EQ(b.grad().item(), 1) << "b was not in the second graph";
  EXPECT_EQ(first.item(), 1);
}

TEST_P(Autograd, AccumulationInsideTheGraphSpoilsNoGradientThatWasHandedOut) {
  // dy goes to h and, unchanged, to x; then x collects more.
  Tensor x = leaf({1}, 1);
  const Tensor h = add(x, x);
  const Tensor dy = Tensor::full({1}, 4, device());
  const auto gradients = grad(add(h, x), {h, x}, {.dy = dy});
  EXPECT_EQ(gradients[0].item(), 4);
  EXPECT_EQ(gradients[1].item(), 12);
  EXPECT_EQ(dy.item(), 4);
}

TEST_P(Autograd, AClosureMayAddToWhatOtherUsesGave) {
  Tensor x = leaf({1}, 1);
  std::vector<float> taken;
  const auto take_all = [&](const Tensor& in) {  // y = 2·in
    return record("take_all", add(in.detach(), in.detach()), {in}, [&](const Tensor& dy, const Needs& needs) {
      const Tensor others = needs.take(0), again = needs.take(0);
      EXPECT_FALSE(again.defined());
      taken.push_back(others.defined() ? others.item() : 0);
      const Tensor dx = add(dy, dy);
      return std::vector{others.defined() ? add(others, dx) : dx};
    });
  };
  const Tensor h = add(x, x);                              // used three times:
  const Tensor y = add(add(take_all(h), h), take_all(h));  // 5·h
  for (const bool keep_graph : {true, false}) {
    taken.clear();
    const auto gradients = grad(y, {h, x}, {.keep_graph = keep_graph});
    EXPECT_EQ(gradients[0].item(), 5);
    EXPECT_EQ(gradients[1].item(), 10);
    ASSERT_EQ(taken.size(), 2u);
    EXPECT_EQ(taken.back(), 3) << "the last use adds to both others";
  }
}

TEST_P(Autograd, KeepsTheGraphIfAsked) {
  Tensor x = to_tensor(uniform({3, 3}, 1), device());
  const Tensor y = matmul(x.require_grad(), x);
  const auto first = bits(grad(y, {x}, {.keep_graph = true})[0]);
  EXPECT_EQ(bits(grad(y, {x}, {.keep_graph = true})[0]), first);
  EXPECT_EQ(bits(grad(y, {x})[0]), first);
}

TEST_P(Autograd, RefusesASecondBackwardAndSaysWhatToDo) {
  Tensor x = leaf({1}, 1);
  const Tensor y = relu(add(x, x));
  backward(y);
  const std::string message = message_of([&] { backward(y); });
  EXPECT_NE(message.find("freed"), std::string::npos) << message;
  EXPECT_NE(message.find("keep_graph"), std::string::npos) << message;
  EXPECT_THROW(grad(y, {x}), Error);
  EXPECT_EQ(x.grad().item(), 2) << "the refused backward added nothing";
}

TEST_P(Autograd, FreesWhatWasSavedAsItGoes) {
  Tensor x = leaf({64, 64}, 1);
  const Tensor w = Tensor::full({64, 64}, 0.01f, device());
  const auto chain = [&] {
    Tensor y = x;
    for (int i = 0; i < 4; ++i)
      y = matmul(relu(y), w);
    return y;
  };
  grad(chain(), {x});  // scratch memory grows once
  const std::size_t before = memory_stats(device()).in_use;
  const Tensor y = chain();
  const std::size_t block = (memory_stats(device()).in_use - before) / 5;  // y and four results of relu
  const Tensor dx = grad(y, {x})[0];
  EXPECT_EQ(memory_stats(device()).in_use, before + 2 * block) << "y and dx";
}

TEST_P(Autograd, RefusesATensorChangedAfterItWasSaved) {
  Tensor x = leaf({2, 2}, 1), w = leaf({2, 2}, 1);
  const Tensor y = matmul(x, w);
  write(w);
  const std::string message = message_of([&] { grad(y, {x}); });
  EXPECT_NE(message.find("matmul"), std::string::npos) << message;
  EXPECT_NE(message.find("change"), std::string::npos) << message;
}

TEST_P(Autograd, AllowsChangesToWhatNoGradientNeeds) {
  Tensor x = leaf({2}, 1), b = leaf({2}, 1);
  const Tensor y = add(x, b);
  write(b);
  EXPECT_NO_THROW(grad(y, {x}));
}

TEST_P(Autograd, RecordsNothingUnderNoGrad) {
  Tensor x = leaf({1}, 1);
  EXPECT_TRUE(grad_enabled());
  {
    const NoGrad outer;
    {
      const NoGrad inner;
      EXPECT_FALSE(grad_enabled());
    }
    EXPECT_FALSE(grad_enabled()) << "the outer one still lives";
    EXPECT_FALSE(add(x, x).requires_grad());
  }
  EXPECT_TRUE(grad_enabled());
  EXPECT_TRUE(add(x, x).requires_grad());
}

TEST_P(Autograd, RecordsNothingWithoutHistory) {
  const Tensor x = Tensor::full({1}, 1, device());
  EXPECT_FALSE(add(x, x).requires_grad());
  Tensor y = leaf({1}, 1);
  EXPECT_FALSE(add(y.detach(), x).requires_grad());
  EXPECT_TRUE(add(y, x).requires_grad());
}

TEST_P(Autograd, PassesGradientsThroughReshapeAndSlice) {
  check_op(
      device(), {{uniform({4, 6}, 1)}},
      [](const auto& in) {
        const Tensor r = in[0].reshape({3, 8});
        return matmul(r.slice(0, 2), r.slice(1, 3), {.transpose_b = true});
      },
      [](const auto& in) {
        Array top({2, 8}), bottom({2, 8});
        std::copy_n(in[0].values.begin(), 16, top.values.begin());
        std::copy_n(in[0].values.begin() + 8, 16, bottom.values.begin());
        return reference::matmul(top, bottom, false, true);
      });
}

TEST_P(Autograd, GivesTheRowsOutsideASliceNoGradient) {
  Tensor x = leaf({4, 2}, 1);
  EXPECT_EQ(grad(x.slice(1, 3), {x})[0].to_host(), (std::vector<float>{0, 0, 1, 1, 1, 1, 0, 0}));
  EXPECT_EQ(grad(x.slice(2, 2).reshape({0}), {x})[0].to_host(), std::vector<float>(8, 0));
}

TEST_P(Autograd, PassesGradientsInBf16) {
  Tensor x = Tensor::full({3}, 1, device(), DType::bf16);
  x.require_grad();
  const Tensor dx = grad(add(x.slice(0, 2), x.slice(1, 3)), {x})[0];
  EXPECT_EQ(dx.dtype(), DType::bf16);
  EXPECT_TRUE(all_close(to_array(dx), Array({3}, {1, 2, 1}), {}));
}

TEST_P(Autograd, RefusesWhatHasNoGradient) {
  Tensor x = leaf({2}, 1), other = leaf({2}, 1);
  const Tensor y = relu(x);
  EXPECT_THROW(backward(Tensor::full({1}, 1, device())), Error) << "no history";
  EXPECT_THROW(backward(Tensor()), Error);
  EXPECT_THROW(backward(y), Error) << "two elements";
  EXPECT_THROW(grad(Tensor::full({1}, 1, device()), {x}), Error) << "no history";
  EXPECT_THROW(grad(y, {other}, {.keep_graph = true}), Error) << "does not depend on it";
  EXPECT_THROW(grad(y, {x.detach()}, {.keep_graph = true}), Error);
  EXPECT_THROW(grad(y, {Tensor()}, {.keep_graph = true}), Error);
  EXPECT_THROW(grad(y, {x}, {.dy = Tensor::zeros({3}, device()), .keep_graph = true}), Error);
  EXPECT_THROW(grad(y, {x}, {.dy = Tensor::zeros({2}, device(), DType::bf16), .keep_graph = true}), Error);
  EXPECT_NO_THROW(grad(y, {x}));
}

TEST(AutogradChain, OfTwoHundredThousandAddsNeedsNoStack) {
  Tensor x = Tensor::full({1}, 0);
  const Tensor one = Tensor::full({1}, 1);
  Tensor y = x.require_grad();
  for (int i = 0; i < 200'000; ++i)
    y = add(y, one);
  EXPECT_EQ(y.item(), 200'000);
  EXPECT_EQ(grad(y, {x}, {.keep_graph = true})[0].item(), 1);
  backward(y);
  EXPECT_EQ(x.grad().item(), 1);
  y = Tensor();  // takes the chain apart
}

TEST(AutogradChain, ThatIsDroppedUnusedNeedsNoStack) {
  Tensor x = Tensor::full({1}, 0);
  Tensor y = x.require_grad();
  for (int i = 0; i < 200'000; ++i)
    y = y.reshape({1});
  y = Tensor();
  EXPECT_FALSE(x.grad().defined());
}

TEST(AutogradChain, OfDoublingsVisitsEachNodeOnce) {
  // 2⁶⁰ paths from y to x.
  Tensor x = Tensor::full({1}, 1);
  Tensor y = x.require_grad();
  for (int i = 0; i < 60; ++i)
    y = add(y, y);
  EXPECT_EQ(grad(y, {x})[0].item(), 0x1p60f);
}

}  // namespace
}  // namespace clx::tests
