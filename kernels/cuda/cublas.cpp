// Matrix products by cuBLASLt, which is opened at the first use.
#ifdef CLX_CUDA

#include "kernels/cuda/cublas.h"

#include <string>

#if __has_include(<cublasLt.h>)

#include <array>
#include <cstdint>
#include <cublasLt.h>
#include <map>
#include <memory>
#include <type_traits>

#include "kernels/cuda/library.h"

namespace clx::kernels {
namespace {

class CublasLt {
 public:
  static const CublasLt& library() {
    static const CublasLt cublas;
    return cublas;
  }

  decltype(&cublasLtGetStatusString) get_status_string;
  decltype(&cublasLtCreate) create;
  decltype(&cublasLtDestroy) destroy;
  decltype(&cublasLtMatmulDescCreate) create_product;
  decltype(&cublasLtMatmulDescDestroy) destroy_product;
  decltype(&cublasLtMatmulDescSetAttribute) set_product;
  decltype(&cublasLtMatrixLayoutCreate) create_layout;
  decltype(&cublasLtMatrixLayoutDestroy) destroy_layout;
  decltype(&cublasLtMatmulPreferenceCreate) create_preference;
  decltype(&cublasLtMatmulPreferenceDestroy) destroy_preference;
  decltype(&cublasLtMatmulPreferenceSetAttribute) set_preference;
  decltype(&cublasLtMatmulAlgoGetHeuristic) suggest;
  decltype(&cublasLtMatmul) matmul;

  void check(cublasStatus_t status, const char* what) const {
    if (status != CUBLAS_STATUS_SUCCESS)
      throw std::runtime_error(std::string("cuBLAS: ") + what + ": " + get_status_string(status));
  }

 private:
  CublasLt() {
    const Library library(
        {.name = "cuBLAS",
         .file = "libcublasLt.so." + std::to_string(CUBLAS_VER_MAJOR),
         .variable = "CLX_CUBLAS",
         .folders = {"nvidia/cublas/lib", "nvidia/cu" + std::to_string(CUBLAS_VER_MAJOR) + "/lib"},
         .otherwise = "--matmul custom works without"});
    library.find("cublasLtGetStatusString", &get_status_string);
    library.find("cublasLtCreate", &create);
    library.find("cublasLtDestroy", &destroy);
    library.find("cublasLtMatmulDescCreate", &create_product);
    library.find("cublasLtMatmulDescDestroy", &destroy_product);
    library.find("cublasLtMatmulDescSetAttribute", &set_product);
    library.find("cublasLtMatrixLayoutCreate", &create_layout);
    library.find("cublasLtMatrixLayoutDestroy", &destroy_layout);
    library.find("cublasLtMatmulPreferenceCreate", &create_preference);
    library.find("cublasLtMatmulPreferenceDestroy", &destroy_preference);
    library.find("cublasLtMatmulPreferenceSetAttribute", &set_preference);
    library.find("cublasLtMatmulAlgoGetHeuristic", &suggest);
    library.find("cublasLtMatmul", &matmul);
  }
};

/// A handle or descriptor of the library.
template <class T>
using Owned = std::unique_ptr<std::remove_pointer_t<T>, cublasStatus_t (*)(T)>;
template <class T, class Create, class... Arguments>
Owned<T> make(Create create, cublasStatus_t (*destroy)(T), Arguments... arguments) {
  T made = nullptr;
  CublasLt::library().check(create(&made, arguments...), "creating a handle");
  return {made, destroy};
}

using Handle = Owned<cublasLtHandle_t>;
using Product = Owned<cublasLtMatmulDesc_t>;
using Layout = Owned<cublasLtMatrixLayout_t>;
using Preference = Owned<cublasLtMatmulPreference_t>;

/// The layout of a row-major matrix, as the library sees it: column-major, hence transposed.
Layout transposed(DType dtype, int rows, int cols) {
  const CublasLt& lib = CublasLt::library();
  return make<cublasLtMatrixLayout_t>(
      lib.create_layout, lib.destroy_layout, dtype == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F,
      static_cast<std::uint64_t>(cols), static_cast<std::uint64_t>(rows), static_cast<std::int64_t>(cols));
}

/// The largest power of two, up to 256, that divides the address.
std::uint32_t alignment(const void* p) {
  std::uint32_t bytes = 256;
  while (reinterpret_cast<std::uintptr_t>(p) % bytes)
    bytes /= 2;
  return bytes;
}

constexpr std::size_t kMostScratch = std::size_t(32) << 20;

/// Cᵀ = op(B)ᵀ·op(A)ᵀ (+ bias along its columns) in column-major order is C in ours.
struct Plan {
  Product product;
  Layout a, b, c;
  cublasLtMatmulAlgo_t algorithm{};
  std::size_t bytes = 0;  // of scratch
};

Plan make_plan(cublasLtHandle_t handle,
               const MatmulShape& s,
               Math math,
               DType dtype,
               const std::array<std::uint32_t, 3>& alignments,
               const float* bias) {
  const CublasLt& lib = CublasLt::library();
  const bool tf32 = dtype == DType::f32 && math == Math::tf32;
  Plan plan{make<cublasLtMatmulDesc_t>(lib.create_product, lib.destroy_product,
                                       tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F),
            transposed(dtype, s.transpose_a ? s.K : s.M, s.transpose_a ? s.M : s.K),
            transposed(dtype, s.transpose_b ? s.N : s.K, s.transpose_b ? s.K : s.N),
            transposed(DType::f32, s.M, s.N)};
  const auto set = [&](cublasLtMatmulDescAttributes_t attribute, auto value) {
    lib.check(lib.set_product(plan.product.get(), attribute, &value, sizeof value), "product");
  };
  // The library's first factor is our second.
  set(CUBLASLT_MATMUL_DESC_TRANSA, s.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(CUBLASLT_MATMUL_DESC_TRANSB, s.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
  if (bias) {
    set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
    set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, static_cast<const void*>(bias));
  }
  const Preference preference =
      make<cublasLtMatmulPreference_t>(lib.create_preference, lib.destroy_preference);
  const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, auto value) {
    lib.check(lib.set_preference(preference.get(), attribute, &value, sizeof value), "preference");
  };
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kMostScratch);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignments[1]);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignments[0]);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignments[2]);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignments[2]);
  cublasLtMatmulHeuristicResult_t found{};
  int count = 0;
  lib.check(lib.suggest(handle, plan.product.get(), plan.b.get(), plan.a.get(), plan.c.get(), plan.c.get(),
                        preference.get(), 1, &found, &count),
            "algorithm");
  lib.check(count == 0 ? CUBLAS_STATUS_NOT_SUPPORTED : found.state, "algorithm");
  plan.algorithm = found.algo;
  plan.bytes = found.workspaceSize;
  return plan;
}

/// What one thread knows of the library on one device.
class Context {
 public:
  static Context& of(const Cuda& backend) {
    thread_local std::map<int, Context> contexts;
    return contexts[backend.index];
  }

  cublasLtHandle_t handle() const { return handle_.get(); }

  Plan& plan(const MatmulShape& s, Math math, ConstView A, ConstView B, const float* bias, const float* C) {
    const std::array alignments{alignment(A.data), alignment(B.data), alignment(C)};
    const Key key{
        std::array{s.M, s.N, s.K},
        std::array{s.transpose_a, s.transpose_b, math == Math::tf32, A.dtype == DType::bf16, bias != nullptr},
        alignments};
    const auto known = plans_.find(key);
    if (known != plans_.end()) return known->second;
    return plans_.emplace(key, make_plan(handle(), s, math, A.dtype, alignments, bias)).first->second;
  }

 private:
  using Key = std::tuple<std::array<int, 3>, std::array<bool, 5>, std::array<std::uint32_t, 3>>;

  Handle handle_ = make<cublasLtHandle_t>(CublasLt::library().create, CublasLt::library().destroy);
  std::map<Key, Plan> plans_;
};

}  // namespace

void require_cublas() {
  CublasLt::library();
}

void cublas_matmul(const Cuda& backend,
                   const MatmulShape& s,
                   Math math,
                   ConstView A,
                   ConstView B,
                   const float* bias,
                   float* C) {
  const CublasLt& lib = CublasLt::library();
  Context& context = Context::of(backend);
  const Plan& plan = context.plan(s, math, A, B, bias, C);
  if (bias) {
    const void* pointer = bias;
    lib.check(
        lib.set_product(plan.product.get(), CUBLASLT_MATMUL_DESC_BIAS_POINTER, &pointer, sizeof pointer),
        "bias");
  }
  constexpr float kOne = 1, kZero = 0;
  lib.check(lib.matmul(context.handle(), plan.product.get(), &kOne, B.data, plan.b.get(), A.data,
                       plan.a.get(), &kZero, C, plan.c.get(), C, plan.c.get(), &plan.algorithm,
                       backend.workspace(plan.bytes), plan.bytes, backend.stream),
            "matmul");
}

}  // namespace clx::kernels

#else

namespace clx::kernels {

void require_cublas() {
  throw std::runtime_error("cublas: this build has no cuBLAS headers; --matmul custom works without");
}
void cublas_matmul(const Cuda&, const MatmulShape&, Math, ConstView, ConstView, const float*, float*) {
  require_cublas();
}

}  // namespace clx::kernels

#endif
#endif
