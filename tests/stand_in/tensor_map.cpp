#include "tests/stand_in/tensor_map.h"

#include <cstring>
#include <cuda.h>
#include <stdexcept>

#include "kernels/cuda/emulator/instructions.h"

namespace clx::stand_in {
namespace {

CUresult encode(CUtensorMap* made,
                CUtensorMapDataType type,
                cuuint32_t rank,
                void* base,
                const cuuint64_t* sizes,
                const cuuint64_t* strides,
                const cuuint32_t* box,
                const cuuint32_t* steps,
                CUtensorMapInterleave interleave,
                CUtensorMapSwizzle swizzle,
                CUtensorMapL2promotion,
                CUtensorMapFloatOOBfill fill) {
  if (type != CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 || interleave != CU_TENSOR_MAP_INTERLEAVE_NONE ||
      fill != CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE || rank > emulator::TensorMap::kRank ||
      reinterpret_cast<std::uintptr_t>(made) % alignof(CUtensorMap))
    return CUDA_ERROR_INVALID_VALUE;
  emulator::TensorMap map;
  map.base = static_cast<unsigned char*>(base);
  for (unsigned d = 0; d < emulator::TensorMap::kRank; ++d) {
    const bool there = d < rank;
    map.sizes[d] = there ? sizes[d] : 1;
    map.strides[d] = d == 0 ? map.element_bytes : there ? strides[d - 1] : 0;
    map.steps[d] = there ? steps[d] : 1;
    if (there && (box[d] > 256 || steps[d] == 0)) return CUDA_ERROR_INVALID_VALUE;
    map.box[d] = there ? (box[d] + steps[d] - 1) / steps[d] : 1;
  }
  switch (swizzle) {
    case CU_TENSOR_MAP_SWIZZLE_NONE:
      map.swizzle = 0;
      break;
    case CU_TENSOR_MAP_SWIZZLE_128B:
      map.swizzle = 1;
      break;
    case CU_TENSOR_MAP_SWIZZLE_64B:
      map.swizzle = 2;
      break;
    case CU_TENSOR_MAP_SWIZZLE_32B:
      map.swizzle = 3;
      break;
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
  try {
    emulator::checked(map);
  } catch (const std::runtime_error&) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  static_assert(sizeof map == sizeof *made);
  std::memcpy(made, &map, sizeof map);
  return CUDA_SUCCESS;
}

}  // namespace

void* tensor_map_encoder() {
  return reinterpret_cast<void*>(encode);
}

}  // namespace clx::stand_in
