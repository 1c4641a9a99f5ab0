#include "nn/knn.h"

#include <algorithm>
#include <cmath>

#include "runtime/autograd.h"
#include "runtime/check.h"
#include "runtime/ops/l2_normalize.h"
#include "runtime/ops/linear.h"

namespace clx::nn {
namespace {

constexpr std::int64_t kRows = 96;  // test samples whose similarities are held at once

struct Neighbour {
  float similarity;
  std::int32_t index;
};

bool nearer(const Neighbour& a, const Neighbour& b) {
  return a.similarity != b.similarity ? a.similarity > b.similarity : a.index < b.index;
}

// The k nearest of a row of similarities, in no order.
void nearest(const float* row, std::int64_t N, std::size_t k, std::vector<Neighbour>* heap) {
  heap->clear();
  for (std::int64_t i = 0; i < N; ++i) {
    const Neighbour candidate{row[i], static_cast<std::int32_t>(i)};
    if (heap->size() < k) {
      heap->push_back(candidate);
      std::push_heap(heap->begin(), heap->end(), nearer);
    } else if (nearer(candidate, heap->front())) {
      std::pop_heap(heap->begin(), heap->end(), nearer);
      heap->back() = candidate;
      std::push_heap(heap->begin(), heap->end(), nearer);
    }
  }
}

std::int32_t vote(std::vector<Neighbour>* neighbours,
                  const std::vector<std::int32_t>& labels,
                  int classes,
                  double temperature) {
  std::sort(neighbours->begin(), neighbours->end(), nearer);  // so that the sums have one order
  const auto highest = static_cast<double>(neighbours->front().similarity);
  std::vector<double> votes(static_cast<std::size_t>(classes));
  for (const Neighbour& n : *neighbours)
    votes[static_cast<std::size_t>(labels[static_cast<std::size_t>(n.index)])] +=
        std::exp((static_cast<double>(n.similarity) - highest) / temperature);
  return static_cast<std::int32_t>(std::max_element(votes.begin(), votes.end()) - votes.begin());
}

void check(const char* name, const Tensor& features, const std::vector<std::int32_t>& labels, int classes) {
  CLX_CHECK(features.defined() && features.rank() == 2 && features.size() > 0 &&
                static_cast<std::int64_t>(labels.size()) == features.dim(0),
            "knn: expected ", name, " features (N,D) and N labels");
  for (const std::int32_t label : labels)
    CLX_CHECK(label >= 0 && label < classes, "knn: expected labels within 0…", classes - 1, ", got ", label);
}

}  // namespace

double knn_accuracy(const Tensor& train,
                    const std::vector<std::int32_t>& train_labels,
                    const Tensor& test,
                    const std::vector<std::int32_t>& test_labels,
                    int classes,
                    const KnnOptions& options) {
  check("training", train, train_labels, classes);
  check("test", test, test_labels, classes);
  CLX_CHECK(options.k >= 1, "knn: expected at least one neighbour, got ", options.k);
  CLX_CHECK(options.temperature > 0, "knn: expected a temperature above 0, got ", options.temperature);
  const NoGrad no_grad;
  const Tensor a = l2_normalize(test), b = l2_normalize(train);
  const std::int64_t N = b.dim(0);
  const auto k = static_cast<std::size_t>(std::min<std::int64_t>(options.k, N));
  std::vector<Neighbour> neighbours;
  std::int64_t correct = 0;
  for (std::int64_t begin = 0; begin < a.dim(0); begin += kRows) {
    const std::int64_t end = std::min(begin + kRows, a.dim(0));
    const std::vector<float> similarities = matmul(a.slice(begin, end), b, {.transpose_b = true}).to_host();
    for (std::int64_t i = begin; i < end; ++i) {
      nearest(similarities.data() + (i - begin) * N, N, k, &neighbours);
      correct += vote(&neighbours, train_labels, classes, options.temperature) ==
                 test_labels[static_cast<std::size_t>(i)];
    }
  }
  return static_cast<double>(correct) / static_cast<double>(a.dim(0));
}

}  // namespace clx::nn
