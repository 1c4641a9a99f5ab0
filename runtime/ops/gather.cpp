#include "runtime/ops/gather.h"

#include "kernels/augment.h"
#include "runtime/dispatch.h"
#include "runtime/ops/require.h"

namespace clx {
namespace {

void require_samples(const char* op, const Tensor& samples, std::int64_t count, Device device) {
  CLX_CHECK(samples.defined() && samples.size() > 0, op, ": expected at least one sample");
  require(op, "samples", samples, DType::i64, {samples.dim(0)}, device);
  if (device.kind == DeviceKind::cuda) return;  // checking would wait for the device
  const std::int64_t* sample = samples.data<std::int64_t>();
  for (std::int64_t i = 0; i < samples.size(); ++i)
    CLX_CHECK(sample[i] >= 0 && sample[i] < count, op, ": expected a sample within 0…", count - 1, ", got ",
              sample[i]);
}

kernels::Normalization normalization(const GatherOptions& options, std::int64_t C) {
  kernels::Normalization n;
  for (std::int64_t c = 0; c < C; ++c) {
    const auto i = static_cast<std::size_t>(c);
    if (!options.mean.empty()) n.mean[i] = options.mean[i];
    if (!options.std.empty()) n.std[i] = options.std[i];
    CLX_CHECK(n.std[i] > 0, "gather_images: expected standard deviations above 0, got ", n.std[i]);
  }
  return n;
}

}  // namespace

Tensor gather_images(const Tensor& images,
                     const Tensor& samples,
                     const Step& step,
                     const GatherOptions& options) {
  CLX_CHECK(images.defined() && images.dtype() == DType::u8, "gather_images: expected images of u8");
  require_rank("gather_images", "images (M,H,W,C)", images, 4);
  const Device device = images.device();
  const std::int64_t C = images.dim(3);
  CLX_CHECK(C <= 4, "gather_images: expected at most 4 channels, got ", C);
  const auto fits = [&](const std::vector<float>& v) {
    return v.empty() || static_cast<std::int64_t>(v.size()) == C;
  };
  CLX_CHECK(fits(options.mean) && fits(options.std), "gather_images: expected mean and std of ", C,
            " channels, got ", options.mean.size(), " and ", options.std.size());
  CLX_CHECK(options.padding >= 0, "gather_images: expected padding ≥ 0, got ", options.padding);
  CLX_CHECK(options.dtype == DType::f32 || options.dtype == DType::bf16,
            "gather_images: expected f32 or bf16, got ", name_of(options.dtype));
  CLX_CHECK(step.device() == device, "gather_images: expected the step on ", device, ", got it on ",
            step.device());
  require_samples("gather_images", samples, images.dim(0), device);
  const kernels::GatherShape s{static_cast<int>(samples.dim(0)),
                               static_cast<int>(images.dim(1)),
                               static_cast<int>(images.dim(2)),
                               static_cast<int>(C),
                               options.padding,
                               options.flip};
  Tensor y({s.N, s.H, s.W, s.C}, device, options.dtype);
  const kernels::Normalization n = normalization(options, C);
  on(device, [&](const auto& backend) {
    kernels::gather_images(backend, s, n, images.data<std::uint8_t>(), samples.data<std::int64_t>(),
                           static_cast<const StepState*>(step.state().view().data), y.mutable_view());
  });
  return y;
}

Tensor gather_labels(const Tensor& labels, const Tensor& samples) {
  CLX_CHECK(labels.defined() && labels.dtype() == DType::i32 && labels.rank() == 1,
            "gather_labels: expected labels (M) of i32");
  require_samples("gather_labels", samples, labels.dim(0), labels.device());
  Tensor y({samples.dim(0)}, labels.device(), DType::i32);
  on(labels.device(), [&](const auto& backend) {
    kernels::gather_labels(backend, static_cast<int>(samples.dim(0)), labels.data<std::int32_t>(),
                           samples.data<std::int64_t>(), y.mutable_data<std::int32_t>());
  });
  return y;
}

}  // namespace clx
