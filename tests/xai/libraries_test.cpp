// Maps on which scikit-image and Quantus were run (tests/fixtures/make_metrics.py).
#include <filesystem>

#include "runtime/io/npz.h"
#include "tests/arrays.h"
#include "tests/devices.h"
#include "tests/paths.h"
#include "xai/metrics/coherence.h"
#include "xai/metrics/complexity.h"
#include "xai/metrics/ssim.h"

namespace clx::tests {
namespace {

class Libraries : public DeviceTest {
 protected:
  const std::map<std::string, Tensor> fixture_ = io::read_npz(tests::fixture("metrics.npz"));
  Tensor on_device(const std::string& name) const { return fixture_.at(name).to(device()); }
  void expect(const std::string& name, const std::vector<double>& actual, double tolerance) const {
    const std::vector<float> expected = fixture_.at(name).to_host();
    ASSERT_EQ(actual.size(), expected.size()) << name;
    for (std::size_t n = 0; n < expected.size(); ++n)
      EXPECT_NEAR(actual[n], static_cast<double>(expected[n]), tolerance) << name << " of map " << n;
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, Libraries, every_device(), device_name);

TEST_P(Libraries, SsimEqualsScikitImage) {
  const Tensor a = on_device("a"), b = on_device("b");
  expect("ssim_uniform", xai::ssim(a, b, {.data_range = 1}), 1e-6);
  expect("ssim_gaussian", xai::ssim(a, b, {.data_range = 1, .gaussian = true}), 1e-6);
}

// Quantus 0.6 computes the entropy in f32.
TEST_P(Libraries, ComplexityAndSparsenessEqualQuantus) {
  const Tensor a = on_device("a");
  expect("complexity", xai::complexity(a), 5e-6);
  expect("sparseness", xai::sparseness(a), 2e-7);
  expect("effective_complexity", xai::effective_complexity(a), 0);
}

TEST_P(Libraries, CoherenceEqualsQuantus) {
  const Tensor a = on_device("a"), masks = on_device("masks");
  expect("attribution_localisation", xai::attribution_localisation(a, masks), 1e-7);
  expect("pointing_game", xai::pointing_game(a, masks), 0);
  expect("relevance_rank_accuracy", xai::relevance_rank_accuracy(a, masks), 1e-7);
  expect("relevance_mass_accuracy", xai::relevance_mass_accuracy(a, masks), 1e-7);
}

}  // namespace
}  // namespace clx::tests
