// Nearest neighbours against brute force.
#include "nn/knn.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <numeric>

#include "runtime/check.h"
#include "tests/nn/closed_form.h"

namespace clx::nn {
namespace {

using Matrix = std::vector<std::vector<double>>;

Matrix points(int n, int D, std::uint32_t stream, const std::vector<std::int32_t>& labels) {
  Matrix x;
  for (int i = 0; i < n; ++i) {
    x.emplace_back();
    for (int d = 0; d < D; ++d)
      x.back().push_back(tests::value(i * D + d, stream) +
                         tests::value(labels[static_cast<std::size_t>(i)] * D + d, 99));
  }
  return x;
}

Tensor tensor(const Matrix& x) {
  std::vector<float> values;
  for (const auto& row : x)
    values.insert(values.end(), row.begin(), row.end());
  return Tensor::from_host({static_cast<std::int64_t>(x.size()), static_cast<std::int64_t>(x[0].size())},
                           values);
}

std::vector<std::int32_t> labels_of(int n, int K, int factor) {
  std::vector<std::int32_t> labels;
  for (int i = 0; i < n; ++i)
    labels.push_back((factor * i + i / K) % K);
  return labels;
}

double cosine(const std::vector<double>& a, const std::vector<double>& b) {
  const auto dot = [](const auto& u, const auto& v) {
    return std::inner_product(u.begin(), u.end(), v.begin(), 0.0);
  };
  return dot(a, b) / std::sqrt(dot(a, a) * dot(b, b));
}

double brute_force(const Matrix& train,
                   const std::vector<std::int32_t>& train_labels,
                   const Matrix& test,
                   const std::vector<std::int32_t>& test_labels,
                   int K,
                   const KnnOptions& options) {
  double correct = 0;
  for (std::size_t i = 0; i < test.size(); ++i) {
    std::vector<std::pair<double, std::int32_t>> all;
    for (std::size_t j = 0; j < train.size(); ++j)
      all.emplace_back(cosine(test[i], train[j]), train_labels[j]);
    std::ranges::sort(all, [](const auto& a, const auto& b) { return a.first > b.first; });
    std::vector<double> votes(static_cast<std::size_t>(K));
    for (int n = 0; n < std::min<int>(options.k, static_cast<int>(all.size())); ++n) {
      const auto& [similarity, label] = all[static_cast<std::size_t>(n)];
      votes[static_cast<std::size_t>(label)] += std::exp(similarity / options.temperature);
    }
    correct += std::ranges::max_element(votes) - votes.begin() == test_labels[i];
  }
  return correct / static_cast<double>(test.size());
}

TEST(Knn, classifies_as_brute_force_does) {
  constexpr int K = 6, D = 5;
  const auto train_labels = labels_of(151, K, 1), test_labels = labels_of(101, K, 5);
  const Matrix train = points(151, D, 7, train_labels), test = points(101, D, 8, test_labels);
  std::vector<double> seen;
  for (const KnnOptions& options :
       {KnnOptions{.k = 1}, KnnOptions{.k = 5}, KnnOptions{.k = 20, .temperature = 1}, KnnOptions{}}) {
    const double expected = brute_force(train, train_labels, test, test_labels, K, options);
    EXPECT_DOUBLE_EQ(knn_accuracy(tensor(train), train_labels, tensor(test), test_labels, K, options),
                     expected)
        << "k " << options.k;
    seen.push_back(expected);
  }
  std::ranges::sort(seen);
  EXPECT_LT(seen.front(), seen.back()) << "k makes no difference in this test";
  EXPECT_LT(seen.back(), 1);
}

TEST(Knn, does_not_look_at_lengths) {
  const Tensor train = Tensor::from_host({2, 2}, std::vector<float>{100, 0, 0, 0.01f});
  const Tensor test = Tensor::from_host({3, 2}, std::vector<float>{0.1f, 0.2f, 30, 20, 0, 0});
  EXPECT_DOUBLE_EQ(knn_accuracy(train, {0, 1}, test, {1, 0, 0}, 2, {.k = 1}), 1);
}

TEST(Knn, refuses_what_does_not_fit) {
  const Tensor x = Tensor::full({3, 2}, 1);
  EXPECT_THROW(knn_accuracy(x, {0, 1}, x, {0, 1, 0}, 2), Error);
  EXPECT_THROW(knn_accuracy(x, {0, 1, 2}, x, {0, 1, 0}, 2), Error);
  EXPECT_THROW(knn_accuracy(x, {0, 1, 0}, x, {0, 1, -1}, 2), Error);
  EXPECT_THROW(knn_accuracy(x, {0, 1, 0}, Tensor::full({3, 4}, 1), {0, 1, 0}, 2), Error);
  EXPECT_THROW(knn_accuracy(x, {0, 1, 0}, x, {0, 1, 0}, 2, {.k = 0}), Error);
}

}  // namespace
}  // namespace clx::nn
