#include "kernels/cuda/gpu_trouble.h"

#include <charconv>

namespace clx::kernels {
namespace {

std::string version(int v) {
  return std::to_string(v / 1000) + '.' + std::to_string(v % 1000 / 10);
}

bool word_covers(std::string_view word, int capability) {
  int number = 0;
  const auto end = std::from_chars(word.data(), word.data() + word.size(), number).ptr;
  if (end == word.data()) return true;
  const std::string_view rest = word.substr(static_cast<std::size_t>(end - word.data()));
  if (rest.starts_with('a')) return capability == number;
  return capability >= number && (rest != "-real" || capability / 10 == number / 10);
}

}  // namespace

bool compiled_for(std::string_view architectures, int capability) {
  for (bool more = true; more;) {
    const std::size_t end = architectures.find(' ');
    if (word_covers(architectures.substr(0, end), capability)) return true;
    more = end != std::string_view::npos;
    if (more) architectures.remove_prefix(end + 1);
  }
  return false;
}

std::string gpu_trouble(const GpuFacts& f, int index, std::string_view architectures) {
  if (f.driver == 0) return "expected an NVIDIA driver, got none";
  if (f.driver < f.runtime && !f.error.empty())
    return "expected an NVIDIA driver for CUDA " + version(f.runtime) + " or later, got one for CUDA " +
           version(f.driver);
  if (!f.error.empty()) return "expected a GPU, got from the driver: " + f.error;
  if (index >= f.count)
    return "expected one of " + std::to_string(f.count) + " GPUs, got cuda:" + std::to_string(index);
  if (compiled_for(architectures, f.capability)) return "";
  const std::string capability = std::to_string(f.capability / 10) + '.' + std::to_string(f.capability % 10);
  return "expected a GPU that this program was compiled for (" + std::string(architectures) + "), got " +
         f.name + " of compute capability " + capability +
         (f.capability < 80 ? ", and the kernels need 8.0 or later"
                            : "; configure with -DCLX_CUDA_ARCHITECTURES=" + std::to_string(f.capability) +
                                  (f.capability == 90 ? "a" : ""));
}

}  // namespace clx::kernels
