// A library that answers to cuBLASLt's functions with plain loops on host memory, column-major as the
// original. It refuses what kernels/cuda/cublas.cpp should not ask for.
#include <cstring>
#include <cublasLt.h>

#include "tests/kernels/fake_library.h"

struct cublasLtContext {};

using namespace clx::kernels;

namespace {

struct Product {
  cublasOperation_t a = CUBLAS_OP_N, b = CUBLAS_OP_N;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  const float* bias = nullptr;
};
struct Layout {
  cudaDataType type;
  std::uint64_t rows, cols;
  std::int64_t ld;
};
struct Preference {
  std::uint32_t a = 256, b = 256, c = 256, d = 256;
  std::size_t scratch = 0;
};

const Layout& of(cublasLtMatrixLayout_t layout) {
  return *reinterpret_cast<const Layout*>(layout);
}

double element(const void* data, const Layout& layout, std::uint64_t row, std::uint64_t col) {
  const std::uint64_t i = col * static_cast<std::uint64_t>(layout.ld) + row;
  return value_at(data, layout.type == CUDA_R_16BF ? clx::DType::bf16 : clx::DType::f32, i);
}

template <class T>
cublasStatus_t set(T* field, const void* value, std::size_t bytes) {
  if (bytes != sizeof(T)) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(field, value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

bool aligned(const void* p, std::uint32_t bytes) {
  return reinterpret_cast<std::uintptr_t>(p) % bytes == 0;
}

}  // namespace

extern "C" {

const char* cublasLtGetStatusString(cublasStatus_t status) {
  return status_text(status == CUBLAS_STATUS_SUCCESS);
}
cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  make<cublasLtContext>(handle);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  destroy<cublasLtContext>(handle);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* d, cublasComputeType_t, cudaDataType_t scale) {
  make<Product>(d);
  return scale == CUDA_R_32F ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t d) {
  destroy<Product>(d);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t d,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void* value,
                                              std::size_t bytes) {
  auto* product = reinterpret_cast<Product*>(d);
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
      return set(&product->a, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB:
      return set(&product->b, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      return set(&product->epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      return set(&product->bias, value, bytes);
    default:
      return CUBLAS_STATUS_INVALID_VALUE;
  }
}
cublasStatus_t cublasLtMatrixLayoutCreate(
    cublasLtMatrixLayout_t* d, cudaDataType type, std::uint64_t rows, std::uint64_t cols, std::int64_t ld) {
  make(d, Layout{type, rows, cols, ld});
  return ld >= static_cast<std::int64_t>(rows) ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t d) {
  destroy<Layout>(d);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* d) {
  make<Preference>(d);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t d) {
  destroy<Preference>(d);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t d,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void* value,
                                                    std::size_t bytes) {
  auto* preference = reinterpret_cast<Preference*>(d);
  switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
      return set(&preference->scratch, value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
      return set(&preference->a, value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
      return set(&preference->b, value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
      return set(&preference->c, value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
      return set(&preference->d, value, bytes);
    default:
      return CUBLAS_STATUS_INVALID_VALUE;
  }
}

// The algorithm carries what memory it was made for.
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t,
                                              cublasLtMatmulDesc_t,
                                              cublasLtMatrixLayout_t,
                                              cublasLtMatrixLayout_t,
                                              cublasLtMatrixLayout_t,
                                              cublasLtMatrixLayout_t,
                                              cublasLtMatmulPreference_t d,
                                              int most,
                                              cublasLtMatmulHeuristicResult_t* found,
                                              int* count) {
  const auto& preference = *reinterpret_cast<const Preference*>(d);
  if (most < 1 || preference.scratch < kScratch) return CUBLAS_STATUS_INVALID_VALUE;
  found->algo.data[0] = preference.a;
  found->algo.data[1] = preference.b;
  found->algo.data[2] = preference.c;
  found->workspaceSize = kScratch;
  found->state = CUBLAS_STATUS_SUCCESS;
  *count = 1;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t,
                              cublasLtMatmulDesc_t d,
                              const void* alpha,
                              const void* a,
                              cublasLtMatrixLayout_t a_layout,
                              const void* b,
                              cublasLtMatrixLayout_t b_layout,
                              const void* beta,
                              const void* c,
                              cublasLtMatrixLayout_t c_layout,
                              void* to,
                              cublasLtMatrixLayout_t to_layout,
                              const cublasLtMatmulAlgo_t* algorithm,
                              void* scratch,
                              std::size_t bytes,
                              cudaStream_t) {
  const auto& product = *reinterpret_cast<const Product*>(d);
  const Layout &A = of(a_layout), &B = of(b_layout), &C = of(c_layout);
  const bool ta = product.a == CUBLAS_OP_T, tb = product.b == CUBLAS_OP_T;
  const std::uint64_t inner = ta ? A.rows : A.cols;
  if (!called_well(alpha, beta, scratch, bytes) || c != to || c_layout != to_layout || A.type != B.type ||
      C.type != CUDA_R_32F || inner != (tb ? B.cols : B.rows) || C.rows != (ta ? A.cols : A.rows) ||
      C.cols != (tb ? B.rows : B.cols) || !aligned(a, static_cast<std::uint32_t>(algorithm->data[0])) ||
      !aligned(b, static_cast<std::uint32_t>(algorithm->data[1])) ||
      !aligned(c, static_cast<std::uint32_t>(algorithm->data[2])))
    return CUBLAS_STATUS_INVALID_VALUE;
  for (std::uint64_t row = 0; row < C.rows; ++row)
    for (std::uint64_t col = 0; col < C.cols; ++col) {
      double sum = product.epilogue == CUBLASLT_EPILOGUE_BIAS ? product.bias[row] : 0;
      for (std::uint64_t k = 0; k < inner; ++k)
        sum += (ta ? element(a, A, k, row) : element(a, A, row, k)) *
               (tb ? element(b, B, col, k) : element(b, B, k, col));
      static_cast<float*>(to)[col * static_cast<std::uint64_t>(C.ld) + row] = static_cast<float>(sum);
    }
  return CUBLAS_STATUS_SUCCESS;
}

}  // extern "C"
