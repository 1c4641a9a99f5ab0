// Why a machine's GPUs cannot be used, from what the CUDA runtime says of them.
#pragma once

#include <string>
#include <string_view>

namespace clx::kernels {

struct GpuFacts {
  std::string error{};  // of counting the GPUs; "" for none
  int driver = 0;   // 1000·major + 10·minor of the CUDA version that the driver knows; 0 without a driver
  int runtime = 0;  // the same of this program
  int count = 0;    // GPUs
  std::string name{};  // of the one that is asked for
  int capability = 0;  // 10·major + minor of it
};

/// Whether kernels compiled for `architectures`, words as in CMAKE_CUDA_ARCHITECTURES ("80 90a"), run on a
/// GPU: as machine code of its major version and at most its minor one, or as PTX of any older one; an `a`
/// stands for the one GPU alone. Words without a number, such as "native", are taken to.
bool compiled_for(std::string_view architectures, int capability);

/// "expected …, got …"; "" if nothing hinders GPU `index`.
std::string gpu_trouble(const GpuFacts& facts, int index, std::string_view architectures);

}  // namespace clx::kernels
