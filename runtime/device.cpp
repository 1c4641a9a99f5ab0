#include "runtime/device.h"

#include <charconv>
#include <ostream>

#include "kernels/memory.h"
#include "runtime/check.h"
#include "runtime/dispatch.h"

namespace clx {

std::ostream& operator<<(std::ostream& out, Device device) {
  switch (device.kind) {
    case DeviceKind::cuda:
      return out << "cuda:" << device.index;
    case DeviceKind::emulated:
      return out << "emulated";
    default:
      return out << "cpu";
  }
}

bool available(DeviceKind kind) {
  return kind != DeviceKind::cuda || kernels::cuda_trouble(0).empty();
}

std::string why_no_gpu() {
  return kernels::cuda_expected() ? kernels::cuda_trouble(0) : "";
}

Device parse_device(std::string_view text) {
  if (text == "auto") return available(DeviceKind::cuda) ? Device{DeviceKind::cuda, 0} : kCpu;
  if (text == "cpu") return kCpu;
  if (text == "emulated") return kEmulated;
  int index = 0;
  const bool numbered = text.starts_with("cuda:");
  if (numbered) {
    const auto [end, error] = std::from_chars(text.data() + 5, text.data() + text.size(), index);
    CLX_CHECK(error == std::errc() && end == text.data() + text.size() && index >= 0,
              "device: expected a number after 'cuda:', got '", text, "'");
  }
  CLX_CHECK(numbered || text == "cuda", "device: expected auto, cpu, cuda, cuda:N or emulated, got '", text,
            "'");
  const std::string trouble = kernels::cuda_trouble(index);
  CLX_CHECK(trouble.empty(), "device: ", trouble, "; --device cpu works without");
  return {DeviceKind::cuda, index};
}

}  // namespace clx
