#include "runtime/ops/conv2d.h"

#include <atomic>

#include "kernels/conv2d.h"
#include "runtime/autograd.h"
#include "runtime/dispatch.h"
#include "runtime/ops/require.h"
#include "runtime/ops/rounded.h"

namespace clx {
namespace {

std::atomic<Conv2dAlgorithm>& chosen_algorithm() {
  static std::atomic<Conv2dAlgorithm> algorithm{Conv2dAlgorithm::automatic};
  return algorithm;
}

const char* algorithms_of(Device device) {
  switch (device.kind) {
    case DeviceKind::cuda:
      return "auto, custom or cudnn";
    case DeviceKind::emulated:
      return "auto or custom";
    default:
      return "auto, direct or winograd";
  }
}

bool known_on(Device device, Conv2dAlgorithm algorithm) {
  switch (algorithm) {
    case Conv2dAlgorithm::direct:
    case Conv2dAlgorithm::winograd:
      return device.kind == DeviceKind::cpu;
    case Conv2dAlgorithm::custom:
      return device.kind != DeviceKind::cpu;
    case Conv2dAlgorithm::cudnn:
      return device.kind == DeviceKind::cuda;
    default:
      return true;
  }
}

void require_known(Conv2dAlgorithm algorithm, Device device) {
  constexpr const char* kNames[] = {"auto", "direct", "winograd", "custom", "cudnn"};
  CLX_CHECK(known_on(device, algorithm), "conv: expected ", algorithms_of(device), " on ", device, ", got ",
            kNames[static_cast<std::size_t>(algorithm)]);
}

kernels::Conv2dShape shape_of(const Tensor& x, const Tensor& w, const Conv2dOptions& options) {
  require_floating("conv2d", "x", x);
  CLX_CHECK(w.defined() && w.dtype() == DType::f32, "conv2d: expected f32 filters");
  require_rank("conv2d", "x (N,H,W,C)", x, 4);
  require_rank("conv2d", "filters (K,R,S,C)", w, 4);
  CLX_CHECK(x.device() == w.device(), "conv2d: expected filters on ", x.device(), ", got them on ",
            w.device());
  CLX_CHECK(x.dim(3) == w.dim(3), "conv2d: expected C=", w.dim(3), " input channels, got ", x.dim(3));
  CLX_CHECK(options.stride >= 1 && options.padding >= 0, "conv2d: expected stride ≥ 1 and padding ≥ 0, got ",
            options.stride, " and ", options.padding);
  const auto extent = [&](const Tensor& t, int i) { return static_cast<int>(t.dim(i)); };
  kernels::Conv2dShape s{extent(x, 0), extent(x, 1), extent(x, 2),   extent(x, 3),    extent(w, 0),
                         extent(w, 1), extent(w, 2), options.stride, options.padding, options.algorithm};
  if (const Conv2dAlgorithm chosen = chosen_algorithm();
      s.algorithm == Conv2dAlgorithm::automatic && known_on(x.device(), chosen))
    s.algorithm = chosen;
  require_known(s.algorithm, x.device());
  CLX_CHECK(s.H + 2 * s.padding >= s.R && s.W + 2 * s.padding >= s.S,
            "conv2d: expected an image of at least ", s.R, "×", s.S, " with its padding, got ",
            s.H + 2 * s.padding, "×", s.W + 2 * s.padding);
  return s;
}

void check_epilogue(const Conv2dOptions& options, const Tensor& x, const Tensor& w, const Shape& y) {
  const bool epilogue = options.bias.defined() || options.residual.defined() || options.relu;
  if (!epilogue) return;
  const bool differentiable = x.requires_grad() || w.requires_grad() || options.bias.requires_grad() ||
                              options.residual.requires_grad();
  CLX_CHECK(!grad_enabled() || !differentiable,
            "conv2d: an epilogue is for inference; expected inputs without gradients or NoGrad");
  if (options.bias.defined()) require("conv2d", "bias", options.bias, DType::f32, {y[3]}, x.device());
  if (options.residual.defined()) require("conv2d", "residual", options.residual, x.dtype(), y, x.device());
}

}  // namespace

Tensor conv2d(const Tensor& x, const Tensor& w, const Conv2dOptions& options) {
  const kernels::Conv2dShape s = shape_of(x, w, options);
  const auto math = options.tf32 ? kernels::Math::tf32 : kernels::Math::f32;
  Tensor y({s.N, s.P(), s.Q(), s.K}, x.device(), x.dtype());
  check_epilogue(options, x, w, y.shape());
  const Tensor filters = rounded(w, x.dtype());
  kernels::Conv2dEpilogue epilogue{options.bias.defined() ? options.bias.data() : nullptr,
                                   options.residual.view(), options.relu};
  if (options.moments) {
    const int parts = on(x.device(), [&](const auto& backend) {
      return kernels::conv2d_moment_parts(backend, s, x.view(), filters.view(), y.view());
    });
    *options.moments = parts > 0 ? Tensor({parts, s.K, 3}, x.device()) : Tensor();
    if (parts > 0) epilogue.moments = options.moments->mutable_data();
  }
  on(x.device(), [&](const auto& backend) {
    kernels::conv2d_forward(backend, s, math, x.view(), filters.view(), epilogue, y.mutable_view(),
                            options.prepared.view().data);
  });
  return record(
      "conv2d", y, {x, w}, [s, math, x = Saved(x), w = Saved(w)](const Tensor& dy, const Needs& needs) {
        const Tensor& images = x.get("conv2d");
        const Tensor& master = w.get("conv2d");
        Tensor dx, dw;
        if (needs[0]) {
          dx = Tensor(images.shape(), images.device(), images.dtype());
          const Tensor filters = rounded(master, images.dtype());
          const Tensor others = needs.take(0);
          if (others.defined())
            require("conv2d", "other gradients", others, images.dtype(), images.shape(), images.device());
          on(dy.device(), [&](const auto& backend) {
            kernels::conv2d_backward_data(backend, s, math, dy.view(), filters.view(), dx.mutable_view(),
                                          others.view());
          });
        }
        if (needs[1]) {
          dw = Tensor(master.shape(), master.device());
          on(dy.device(), [&](const auto& backend) {
            kernels::conv2d_backward_weight(backend, s, math, images.view(), dy.view(), dw.mutable_data());
          });
        }
        return std::vector{dx, dw};
      });
}

Tensor conv2d_prepare(const Tensor& x, const Tensor& w, const Conv2dOptions& options) {
  const kernels::Conv2dShape s = shape_of(x, w, options);
  const Tensor filters = rounded(w, x.dtype());
  return on(x.device(), [&](const auto& backend) {
    const std::size_t bytes = kernels::conv2d_prepared_bytes(backend, s, x.dtype());
    if (bytes == 0) return Tensor();
    Tensor prepared({static_cast<std::int64_t>(bytes)}, x.device(), DType::u8);
    kernels::conv2d_prepare(backend, s, filters.view(), prepared.mutable_data<std::uint8_t>());
    return prepared;
  });
}

void set_conv2d_algorithm(Conv2dAlgorithm algorithm) {
  chosen_algorithm() = algorithm;
}

void require_conv2d_algorithm(Conv2dAlgorithm algorithm, Device device) {
  require_known(algorithm, device);
  if constexpr (kHasCuda)
    if (algorithm == Conv2dAlgorithm::cudnn) kernels::require_cudnn();
}

}  // namespace clx
