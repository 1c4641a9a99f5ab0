#pragma once

namespace clx::stand_in {

/// The driver's cuTensorMapEncodeTiled, for the emulator's TMA.
void* tensor_map_encoder();

}  // namespace clx::stand_in
