// What this program's own file holds of its kernels: the PTX that nvcc put there and the names of the
// functions that g++ made of the same sources.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace clx::emulator::ptx {

/// The texts of all PTX modules in the file; empty in a build without nvcc. Throws std::runtime_error where
/// they are compressed.
std::vector<std::string_view> ptx_texts();

/// The name of a kernel for both compilers: without namespaces that differ between them, with the type
/// names of the device. Empty for what is no function of this program.
struct KernelName {
  std::string name;
  std::string file;  // the source of a function with internal linkage, as far as it is known
};
KernelName name_of_function(const void* function);
KernelName name_of_entry(const std::string& mangled);

}  // namespace clx::emulator::ptx
