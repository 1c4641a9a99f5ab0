#include "xai/explain/aug_smooth.h"

#include <algorithm>

#include "runtime/ops/convert.h"
#include "xai/require_maps.h"

namespace clx::xai {
namespace {

// Images or maps (N,H,W,C) on the cpu, mirrored left to right.
Tensor mirrored(const Tensor& x, std::int64_t width, std::int64_t C) {
  Tensor y(x.shape());
  const std::int64_t row = width * C;
  float* out = y.mutable_data();
  for (const float* in = x.data(); in != x.data() + x.size(); in += row)
    for (std::int64_t j = width; j-- > 0; out += C)
      std::copy(in + j * C, in + (j + 1) * C, out);
  return y;
}

Tensor scaled(const Tensor& x, float factor) {
  Tensor y(x.shape());
  std::transform(x.data(), x.data() + x.size(), y.mutable_data(), [=](float v) { return factor * v; });
  return y;
}

void add_to(Tensor* sum, const Tensor& maps) {
  float* s = sum->mutable_data();
  std::transform(s, s + sum->size(), maps.data(), s, [](float a, float b) { return a + b; });
}

}  // namespace

std::vector<Tensor> aug_smooth(const Tensor& images, const Explain& explain) {
  CLX_CHECK(images.defined() && images.rank() == 4 && images.size() > 0,
            "aug_smooth: expected images (N,H,W,C), got ",
            images.defined() ? concat("shape ", images.shape()) : "none");
  const Tensor plain = convert(images, DType::f32).to(kCpu);
  const std::int64_t W = images.dim(2), C = images.dim(3);
  std::vector<Tensor> sums;
  for (const bool mirror : {false, true}) {
    const Tensor turned = mirror ? mirrored(plain, W, C) : plain;
    for (const float factor : {0.9f, 1.0f, 1.1f}) {
      const Tensor view = convert(scaled(turned, factor).to(images.device()), images.dtype());
      const std::vector<Tensor> maps = explain(view);
      CLX_CHECK(sums.empty() || maps.size() == sums.size(), "aug_smooth: expected as many maps of each view");
      for (std::size_t m = 0; m < maps.size(); ++m) {
        require_maps("aug_smooth", maps[m]);
        CLX_CHECK(maps[m].dim(2) == W, "aug_smooth: expected maps as wide as the images");
        const Tensor host = maps[m].to(kCpu), back = mirror ? mirrored(host, W, 1) : host;
        if (sums.size() < maps.size())
          sums.push_back(back.clone());
        else
          add_to(&sums[m], back);
      }
    }
  }
  for (Tensor& sum : sums) {
    std::transform(sum.data(), sum.data() + sum.size(), sum.mutable_data(), [](float v) { return v / 6; });
    sum = sum.to(images.device());
  }
  return sums;
}

}  // namespace clx::xai
