#include "runtime/softmax_regression.h"

#include <algorithm>
#include <cblas.h>
#include <cmath>
#include <utility>

#include "kernels/cpu/parallel.h"
#include "runtime/check.h"

extern "C" void openblas_set_num_threads(int);

namespace clx {
namespace {

constexpr std::int64_t kRows = 512;   // samples of a product
constexpr std::int64_t kRanges = 32;  // partial sums; more would only cost memory

// Row of logits → row of (softmax − onehot)·scale. Returns −ln softmax[label].
double softmax_row(double* z, int K, std::int32_t label, double scale) {
  const double highest = *std::max_element(z, z + K);
  const double of_label = z[label];
  double sum = 0;
  for (int k = 0; k < K; ++k)
    sum += z[k] = std::exp(z[k] - highest);
  for (int k = 0; k < K; ++k)
    z[k] *= scale / sum;
  z[label] -= scale;
  return std::log(sum) + highest - of_label;
}

}  // namespace

SoftmaxRegression::SoftmaxRegression(const Tensor& x,
                                     std::vector<std::int32_t> labels,
                                     int classes,
                                     double weight_decay)
    : x_(x), labels_(std::move(labels)), classes_(classes), weight_decay_(weight_decay) {
  CLX_CHECK(x.defined() && x.rank() == 2 && x.size() > 0 && x.dtype() == DType::f32 && x.device() == kCpu,
            "softmax regression: expected features (N,D) f32 on the cpu");
  CLX_CHECK(static_cast<std::int64_t>(labels_.size()) == x.dim(0), "softmax regression: expected ", x.dim(0),
            " labels, got ", labels_.size());
  for (const std::int32_t label : labels_)
    CLX_CHECK(label >= 0 && label < classes, "softmax regression: expected labels within 0…", classes - 1,
              ", got ", label);
}

double SoftmaxRegression::operator()(const std::vector<double>& parameters,
                                     std::vector<double>* gradient) const {
  const std::int64_t N = x_.dim(0), P = this->parameters();
  CLX_CHECK(static_cast<std::int64_t>(parameters.size()) == P, "softmax regression: expected ", P,
            " parameters, got ", parameters.size());
  openblas_set_num_threads(1);
  const std::int64_t grain = std::max(kRows, (N + kRanges - 1) / kRanges);
  const std::int64_t ranges = (N + grain - 1) / grain;
  std::vector<double> losses(static_cast<std::size_t>(ranges));
  std::vector<double> partial(static_cast<std::size_t>(ranges * P));
  kernels::parallel_for(ranges, [&](std::int64_t r) {
    losses[static_cast<std::size_t>(r)] =
        range(parameters, r * grain, std::min(N, (r + 1) * grain), partial.data() + r * P);
  });
  double loss = 0;
  gradient->assign(static_cast<std::size_t>(P), 0);
  for (std::int64_t r = 0; r < ranges; ++r) {
    loss += losses[static_cast<std::size_t>(r)];
    for (std::int64_t p = 0; p < P; ++p)
      (*gradient)[static_cast<std::size_t>(p)] += partial[static_cast<std::size_t>(r * P + p)];
  }
  double squares = 0;
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    squares += parameters[p] * parameters[p];
    (*gradient)[p] += weight_decay_ * parameters[p];
  }
  return loss / static_cast<double>(N) + 0.5 * weight_decay_ * squares;
}

// The samples' sum of losses; their share of the mean's gradient is added to `gradient`.
double SoftmaxRegression::range(const std::vector<double>& parameters,
                                std::int64_t begin,
                                std::int64_t end,
                                double* gradient) const {
  const int D = static_cast<int>(x_.dim(1)), K = static_cast<int>(classes_);
  const double* w = parameters.data();
  const double* b = w + std::int64_t(K) * D;
  const double scale = 1 / static_cast<double>(x_.dim(0));
  std::vector<double> x(static_cast<std::size_t>(kRows * D)), z(static_cast<std::size_t>(kRows * K));
  double loss = 0;
  for (std::int64_t first = begin; first < end; first += kRows) {
    const int rows = static_cast<int>(std::min(kRows, end - first));
    const float* from = x_.data() + first * D;
    std::copy(from, from + std::int64_t(rows) * D, x.begin());
    for (int i = 0; i < rows; ++i)
      std::copy(b, b + K, z.begin() + std::int64_t(i) * K);
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, K, D, 1, x.data(), D, w, D, 1, z.data(), K);
    for (int i = 0; i < rows; ++i) {
      double* row = z.data() + std::int64_t(i) * K;
      loss += softmax_row(row, K, labels_[static_cast<std::size_t>(first + i)], scale);
      for (int k = 0; k < K; ++k)
        gradient[std::int64_t(K) * D + k] += row[k];
    }
    cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, K, D, rows, 1, z.data(), K, x.data(), D, 1, gradient,
                D);
  }
  return loss;
}

}  // namespace clx
