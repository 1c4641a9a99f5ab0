#include "xai/metrics/coherence.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "xai/require_maps.h"

namespace clx::xai {
namespace {

// Calls f(map, mask, pixels) for each sample with an object and a map that is not zero; NaN for the others.
template <class F>
std::vector<double> for_each_pair(const char* who, const Tensor& maps, const Tensor& masks, F&& f) {
  require_maps(who, maps);
  CLX_CHECK(masks.defined() && masks.dtype() == DType::u8 && masks.shape() == maps.shape(), who,
            ": expected masks of u8 and shape ", maps.shape(), ", got ",
            masks.defined() ? concat(name_of(masks.dtype()), " and ", masks.shape()) : "none");
  const Tensor host = maps.to(kCpu), objects = masks.to(kCpu);
  const std::int64_t pixels = host.dim(1) * host.dim(2);
  std::vector<double> values;
  for (std::int64_t n = 0; n < host.dim(0); ++n) {
    const float* a = host.data() + n * pixels;
    const std::uint8_t* mask = objects.data<std::uint8_t>() + n * pixels;
    const bool empty = std::all_of(mask, mask + pixels, [](std::uint8_t m) { return m == 0; }) ||
                       std::all_of(a, a + pixels, [](float v) { return v == 0; });
    values.push_back(empty ? std::numeric_limits<double>::quiet_NaN() : f(a, mask, pixels));
  }
  return values;
}

}  // namespace

std::vector<double> pointing_game(const Tensor& maps, const Tensor& masks) {
  return for_each_pair("pointing_game", maps, masks,
                       [](const float* a, const std::uint8_t* mask, std::int64_t pixels) {
                         const float largest = *std::max_element(a, a + pixels);
                         for (std::int64_t i = 0; i < pixels; ++i)
                           if (a[i] == largest && mask[i]) return 1.0;
                         return 0.0;
                       });
}

std::vector<double> attribution_localisation(const Tensor& maps, const Tensor& masks) {
  return for_each_pair("attribution_localisation", maps, masks,
                       [](const float* a, const std::uint8_t* mask, std::int64_t pixels) {
                         double inside = 0, total = 0;
                         for (std::int64_t i = 0; i < pixels; ++i) {
                           const double v = std::abs(static_cast<double>(a[i]));
                           total += v;
                           if (mask[i]) inside += v;
                         }
                         return inside / total;
                       });
}

}  // namespace clx::xai
