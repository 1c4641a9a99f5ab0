// Where tensors live.
#pragma once

#include <compare>
#include <iosfwd>
#include <string>
#include <string_view>

namespace clx {

enum class DeviceKind { cpu, cuda, emulated };

struct Device {
  DeviceKind kind = DeviceKind::cpu;
  int index = 0;
  auto operator<=>(const Device&) const = default;
};

inline constexpr Device kCpu{DeviceKind::cpu, 0};
inline constexpr Device kEmulated{DeviceKind::emulated, 0};

std::ostream& operator<<(std::ostream&, Device);

/// "cpu", "cuda", "cuda:1", "emulated" or "auto" (a GPU if this build and machine have one, else the
/// CPU; never the emulator). Throws Error for anything else, and for a GPU that is not there.
Device parse_device(std::string_view text);

/// Whether this binary holds kernels for `kind` and the machine can run them.
bool available(DeviceKind kind);

/// Why "auto" is the CPU where a GPU seems to be; "" if it is a GPU, and where none was to be expected:
/// without a driver, with all GPUs hidden, or without kernels for them.
std::string why_no_gpu();

}  // namespace clx
