// PTX as nvcc writes it: a module's kernels are listed at once and decoded one by one when they are launched.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/cuda/emulator/ptx/program.h"

namespace clx::emulator::ptx {

struct Module {
  struct Kernel {
    std::string name;  // mangled
    std::string_view text;
    std::uint32_t line;  // of the module, where `text` begins
  };
  int target = 0;  // 80 for sm_80
  std::vector<Kernel> kernels;
  std::map<std::uint32_t, const char*> files;
  std::map<std::string, Variable, std::less<>> variables;
};

/// `text` must outlive the module.
Module read_module(std::string_view text);

/// Throws UnknownInstruction, or std::runtime_error for what is not PTX.
Function decode_kernel(const Module&, const Module::Kernel&);

}  // namespace clx::emulator::ptx
