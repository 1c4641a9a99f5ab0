// An NVIDIA driver of another age: it tells the CUDA runtime its version and does nothing else.
#include <cuda.h>

namespace {

int do_nothing() {
  return CUDA_SUCCESS;
}
CUresult version(int* number) {
  *number = 11040;
  return CUDA_SUCCESS;
}
// Tables of functions that only the runtime knows.
CUresult export_table(const void** table, const CUuuid*) {
  static void* functions[1024];
  functions[0] = reinterpret_cast<void*>(sizeof functions);
  for (int i = 1; i < 1024; ++i)
    functions[i] = reinterpret_cast<void*>(do_nothing);
  *table = functions;
  return CUDA_SUCCESS;
}

}  // namespace

extern "C" CUresult cuGetProcAddress_v2(
    const char* symbol, void** function, int, cuuint64_t, CUdriverProcAddressQueryResult* result);
extern "C" CUresult cuGetProcAddress_v2(
    const char* symbol, void** function, int, cuuint64_t, CUdriverProcAddressQueryResult* result) {
  const auto is = [&](const char* name) { return __builtin_strcmp(symbol, name) == 0; };
  *function = is("cuDriverGetVersion") ? reinterpret_cast<void*>(version)
              : is("cuGetExportTable") ? reinterpret_cast<void*>(export_table)
              : is("cuGetProcAddress") ? reinterpret_cast<void*>(cuGetProcAddress_v2)
                                       : reinterpret_cast<void*>(do_nothing);
  if (result) *result = CU_GET_PROC_ADDRESS_SUCCESS;
  return CUDA_SUCCESS;
}
