#include "xai/explain/cam.h"

#include "xai/require_maps.h"

namespace clx::xai {

Tensor finish_maps(const Tensor& raw, int height, int width) {
  require_maps("finish_maps", raw);
  return finish_cam(raw, height, width).maps;
}

}  // namespace clx::xai
