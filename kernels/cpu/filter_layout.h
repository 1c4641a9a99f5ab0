// Filters between KRSC and the layouts that oneDNN's convolutions compute with.
#pragma once

#include "kernels/cpu/convolution.h"

namespace clx::kernels {

/// Copies filters (K,C,R,S in oneDNN's order of dimensions) from one layout to another.
void copy_filters(const dnnl::memory::desc& from,
                  const void* filters,
                  const dnnl::memory::desc& to,
                  void* out);

/// Filters in the layout of `convolution`: `w` (KRSC) itself where that is it, else a copy in scratch memory.
const void* filters_for(const Cpu& backend, const Convolution& convolution, const void* w);

}  // namespace clx::kernels
