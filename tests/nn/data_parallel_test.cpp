// Training in several processes against one: the same losses, gradients and weights.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <gtest/gtest.h>

#include "nn/models/resnet.h"
#include "nn/optim/sgd.h"
#include "runtime/autograd.h"
#include "runtime/communicator.h"
#include "runtime/ops/all_gather.h"
#include "runtime/ops/all_reduce.h"
#include "runtime/ops/cross_entropy.h"
#include "runtime/ops/l2_normalize.h"
#include "runtime/ops/supcon.h"
#include "runtime/ops/triplet.h"
#include "tests/nn/closed_form.h"
#include "tests/processes.h"

namespace clx::nn {
namespace {

constexpr std::int64_t kBatch = 8;
constexpr int kSide = 16, kSteps = 3;

/// Rows begin … end − 1 of every view of x.
Tensor share_of(const Tensor& x, int views, std::int64_t begin, std::int64_t end) {
  const std::int64_t n = x.dim(0) / views;
  std::vector<std::int64_t> dims = x.shape().dims();
  const std::int64_t width = x.size() / x.dim(0);
  dims[0] = views * (end - begin);
  std::vector<float> rows;
  const std::vector<float> all = x.to_host();
  for (int view = 0; view < views; ++view)
    rows.insert(rows.end(), all.begin() + (view * n + begin) * width, all.begin() + (view * n + end) * width);
  return Tensor::from_host(Shape(dims), rows);
}

/// What each process computes of its images, and the loss of that of a whole batch.
struct Objective {
  std::string name;
  int views;
  std::function<Tensor(Model&, const Tensor& images)> outputs;
  std::function<Tensor(const Tensor& outputs, const Tensor& labels)> loss;
};

Tensor logits(Model& model, const Tensor& images) {
  return model.forward(images);
}
Tensor embeddings(Model& model, const Tensor& images) {
  return l2_normalize(model.features(images));
}

const Objective kCrossEntropy{"ce", 1, logits, [](const Tensor& x, const Tensor& labels) {
                                return cross_entropy(x, labels, {.smoothing = 0.1f}).loss;
                              }};
const Objective kSupcon{"supcon", 2, embeddings, [](const Tensor& z, const Tensor& labels) {
                          return supcon(z, labels, {.temperature = 0.5f});
                        }};
const Objective kTriplet{"triplet", 1, embeddings, [](const Tensor& x, const Tensor& labels) {
                           return triplet(x, labels, {.margin = 0.3f}).loss;
                         }};

// Images of different colours: embeddings of an untrained network that hardly differ would give gradients
// that are differences of nearly equal numbers, which single precision does not know to 1e-5.
Tensor images_of(const Objective& objective) {
  const std::int64_t n = objective.views * kBatch, width = 3 * kSide * kSide;
  std::vector<float> x = tests::images(n, kSide).to_host();
  for (std::int64_t i = 0; i < n * width; ++i)
    x[static_cast<std::size_t>(i)] += 3 * static_cast<float>(tests::value(i / width % kBatch * 3 + i % 3, 7));
  return Tensor::from_host({n, kSide, kSide, 3}, x);
}

// The labels of all views.
Tensor labels_of(const Objective& objective) {
  const std::vector<std::int32_t> one = tests::labels(kBatch, 3).to_host<std::int32_t>();
  std::vector<std::int32_t> all;
  for (int view = 0; view < objective.views; ++view)
    all.insert(all.end(), one.begin(), one.end());
  return Tensor::from_host({static_cast<std::int64_t>(all.size())}, all);
}

/// Appends the number of values and the values.
void append(const std::vector<float>& values, std::vector<float>* blocks) {
  blocks->push_back(static_cast<float>(values.size()));
  blocks->insert(blocks->end(), values.begin(), values.end());
}

/// Blocks of values: the first step's gradients, the last step's weights and statistics, the losses.
std::vector<float> train(const Objective& objective, Communicator* across) {
  const auto model = make_model("resnet20", {.width = 0.25}, 1);
  model->train(true);
  model->synchronise(across);
  Sgd sgd(model->parameters(), {.momentum = 0.9f, .weight_decay = 5e-4f});
  Step step;
  step.set_learning_rate(0.01f);
  const Tensor all = images_of(objective), labels = labels_of(objective);
  const auto [begin, end] = across ? across->share(kBatch) : Communicator::Share{0, kBatch};
  const Tensor mine = share_of(all, objective.views, begin, end);
  std::vector<float> result, losses;
  for (int t = 0; t < kSteps; ++t) {
    Tensor outputs = objective.outputs(*model, mine);
    if (across) outputs = all_gather(outputs, *across, {.views = objective.views});
    const Tensor loss = objective.loss(outputs, labels);
    sgd.clear_gradients();
    backward(loss);
    if (across) all_reduce_gradients(model->parameters(), *across);
    losses.push_back(loss.item());
    if (t == 0)
      for (const Tensor& p : model->parameters()) {
        if (!p.grad().defined()) continue;  // the classifier's, where the loss is of embeddings
        append(p.grad().to_host(), &result);
      }
    sgd.step(step);
    step.set_step(t + 1);
  }
  model->visit([&](const Entry& e) {
    if (e.role == Role::counter) return;
    append(e.tensor->to_host(), &result);
  });
  append(losses, &result);
  return result;
}

struct Team {
  const Objective* objective;
  int size;
};
void PrintTo(const Team& team, std::ostream* out) {
  *out << team.objective->name << " in " << team.size << " processes";
}
class DataParallel : public testing::TestWithParam<Team> {};

INSTANTIATE_TEST_SUITE_P(Losses,
                         DataParallel,
                         testing::Values(Team{&kCrossEntropy, 2},
                                         Team{&kCrossEntropy, 4},
                                         Team{&kSupcon, 2},
                                         Team{&kSupcon, 4},
                                         Team{&kTriplet, 2},
                                         Team{&kTriplet, 4}),
                         [](const auto& info) {
                           return info.param.objective->name + std::to_string(info.param.size);
                         });

TEST_P(DataParallel, EqualsOneProcess) {
  const Objective& objective = *GetParam().objective;
  const int size = GetParam().size;
  const std::vector<float> one =
      tests::in_processes(1, [&](Communicator&) { return train(objective, nullptr); })[0];
  const auto all = tests::in_processes(size, [&](Communicator& across) { return train(objective, &across); });
  for (const std::vector<float>& got : all) {
    ASSERT_EQ(got.size(), one.size());
    EXPECT_EQ(got, all[0]) << "every process holds the same bits";
  }
  // Of each tensor, the largest difference beside the largest value.
  double worst = 0;
  for (std::size_t at = 0; at < one.size();) {
    const std::size_t end = at + 1 + static_cast<std::size_t>(one[at]);
    ASSERT_EQ(all[0][at], one[at]);
    double size = 0, difference = 0;
    for (++at; at < end; ++at) {
      size = std::max(size, std::abs(static_cast<double>(one[at])));
      difference =
          std::max(difference, std::abs(static_cast<double>(all[0][at]) - static_cast<double>(one[at])));
    }
    worst = std::max(worst, difference / size);
  }
  EXPECT_LE(worst, 1e-5);
  std::printf("  largest difference %.2g of a tensor's largest value\n", worst);
}

}  // namespace
}  // namespace clx::nn
