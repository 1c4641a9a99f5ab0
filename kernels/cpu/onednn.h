// What every use of oneDNN needs: its engine, a stream per thread, what the processor can do.
#pragma once

#include <dnnl.hpp>

namespace clx::kernels {

const dnnl::engine& onednn_engine();

/// The calling thread's stream; work on it is done when execute returns.
dnnl::stream& onednn_stream();

/// Whether oneDNN has bf16 convolutions for this processor (AVX-512).
bool onednn_has_bf16();

/// Whether they use matrix instructions (AMX), which multiply several times as fast as vector instructions.
bool onednn_has_bf16_matrices();

}  // namespace clx::kernels
