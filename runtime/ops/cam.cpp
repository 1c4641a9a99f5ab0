#include "runtime/ops/cam.h"

#include "kernels/cam.h"
#include "runtime/dispatch.h"
#include "runtime/ops/require.h"

namespace clx {
namespace {

CamMaps empty_maps(const char* op, const Tensor& like, int height, int width) {
  CLX_CHECK(height > 0 && width > 0, op, ": expected a size above 0, got ", height, "×", width);
  return {Tensor({like.dim(0), like.dim(1), like.dim(2)}, like.device()),
          Tensor({like.dim(0), height, width}, like.device()),
          Tensor({like.dim(0)}, like.device(), DType::u8)};
}

kernels::CamShape shape_of(const Tensor& like, int height, int width) {
  const auto extent = [&](int axis) { return static_cast<int>(like.dim(axis)); };
  return {extent(0), extent(1), extent(2), like.rank() == 4 ? extent(3) : 0, height, width};
}

}  // namespace

CamMaps finish_cam(const Tensor& raw, int height, int width) {
  require_floating("finish_cam", "raw", raw);
  require_rank("finish_cam", "raw maps (N,h,w)", raw, 3);
  require("finish_cam", "raw", raw, DType::f32, raw.shape(), raw.device());
  CamMaps y = empty_maps("finish_cam", raw, height, width);
  y.raw = raw.detach();
  on(raw.device(), [&](const auto& backend) {
    kernels::finish_cam(backend, shape_of(raw, height, width), raw.data(), y.maps.mutable_data(),
                        y.zero.mutable_data<std::uint8_t>());
  });
  return y;
}

CamMaps weighted_cam(const Tensor& activation, const Tensor& alpha, int height, int width) {
  require_floating("weighted_cam", "activation", activation);
  require_rank("weighted_cam", "activations (N,h,w,C)", activation, 4);
  require("weighted_cam", "alpha", alpha, DType::f32, {activation.dim(0), activation.dim(3)},
          activation.device());
  CamMaps y = empty_maps("weighted_cam", activation, height, width);
  on(activation.device(), [&](const auto& backend) {
    kernels::weighted_cam(backend, shape_of(activation, height, width), alpha.data(), activation.view(),
                          y.raw.mutable_data(), y.maps.mutable_data(), y.zero.mutable_data<std::uint8_t>());
  });
  return y;
}

}  // namespace clx
