// Convolutions by cuDNN, which is opened at the first use. Its older interface is used: one call per pass,
// and a list of algorithms by the library's own estimate, each with its determinism.
#ifdef CLX_CUDA

#include "kernels/cuda/cudnn.h"

#include <string>

#if __has_include(<cudnn.h>)

#include <array>
#include <cudnn.h>
#include <map>
#include <memory>
#include <type_traits>

#include "kernels/cuda/library.h"
#include "kernels/elementwise.h"

namespace clx::kernels {
namespace {

class Cudnn {
 public:
  static const Cudnn& library() {
    static const Cudnn cudnn;
    return cudnn;
  }

  decltype(&cudnnGetErrorString) get_error_string;
  decltype(&cudnnCreate) create;
  decltype(&cudnnDestroy) destroy;
  decltype(&cudnnSetStream) set_stream;
  decltype(&cudnnCreateTensorDescriptor) create_tensor;
  decltype(&cudnnDestroyTensorDescriptor) destroy_tensor;
  decltype(&cudnnSetTensor4dDescriptor) set_tensor;
  decltype(&cudnnCreateFilterDescriptor) create_filter;
  decltype(&cudnnDestroyFilterDescriptor) destroy_filter;
  decltype(&cudnnSetFilter4dDescriptor) set_filter;
  decltype(&cudnnCreateConvolutionDescriptor) create_convolution;
  decltype(&cudnnDestroyConvolutionDescriptor) destroy_convolution;
  decltype(&cudnnSetConvolution2dDescriptor) set_convolution;
  decltype(&cudnnSetConvolutionMathType) set_math;
  decltype(&cudnnGetConvolutionForwardAlgorithm_v7) forward_algorithms;
  decltype(&cudnnGetConvolutionBackwardDataAlgorithm_v7) data_algorithms;
  decltype(&cudnnGetConvolutionBackwardFilterAlgorithm_v7) weight_algorithms;
  decltype(&cudnnGetConvolutionForwardWorkspaceSize) forward_bytes;
  decltype(&cudnnGetConvolutionBackwardDataWorkspaceSize) data_bytes;
  decltype(&cudnnGetConvolutionBackwardFilterWorkspaceSize) weight_bytes;
  decltype(&cudnnConvolutionForward) forward;
  decltype(&cudnnConvolutionBackwardData) backward_data;
  decltype(&cudnnConvolutionBackwardFilter) backward_weight;

  void check(cudnnStatus_t status, const char* what) const {
    if (status != CUDNN_STATUS_SUCCESS)
      throw std::runtime_error(std::string("cuDNN: ") + what + ": " + get_error_string(status));
  }

 private:
  Cudnn() {
    const Library library({.name = "cuDNN",
                           .file = "libcudnn.so." + std::to_string(CUDNN_MAJOR),
                           .variable = "CLX_CUDNN",
                           .folders = {"nvidia/cudnn/lib"},
                           .otherwise = "--conv custom works without"});
    library.find("cudnnGetErrorString", &get_error_string);
    library.find("cudnnCreate", &create);
    library.find("cudnnDestroy", &destroy);
    library.find("cudnnSetStream", &set_stream);
    library.find("cudnnCreateTensorDescriptor", &create_tensor);
    library.find("cudnnDestroyTensorDescriptor", &destroy_tensor);
    library.find("cudnnSetTensor4dDescriptor", &set_tensor);
    library.find("cudnnCreateFilterDescriptor", &create_filter);
    library.find("cudnnDestroyFilterDescriptor", &destroy_filter);
    library.find("cudnnSetFilter4dDescriptor", &set_filter);
    library.find("cudnnCreateConvolutionDescriptor", &create_convolution);
    library.find("cudnnDestroyConvolutionDescriptor", &destroy_convolution);
    library.find("cudnnSetConvolution2dDescriptor", &set_convolution);
    library.find("cudnnSetConvolutionMathType", &set_math);
    library.find("cudnnGetConvolutionForwardAlgorithm_v7", &forward_algorithms);
    library.find("cudnnGetConvolutionBackwardDataAlgorithm_v7", &data_algorithms);
    library.find("cudnnGetConvolutionBackwardFilterAlgorithm_v7", &weight_algorithms);
    library.find("cudnnGetConvolutionForwardWorkspaceSize", &forward_bytes);
    library.find("cudnnGetConvolutionBackwardDataWorkspaceSize", &data_bytes);
    library.find("cudnnGetConvolutionBackwardFilterWorkspaceSize", &weight_bytes);
    library.find("cudnnConvolutionForward", &forward);
    library.find("cudnnConvolutionBackwardData", &backward_data);
    library.find("cudnnConvolutionBackwardFilter", &backward_weight);
  }
};

/// A handle or descriptor of the library.
template <class T>
using Owned = std::unique_ptr<std::remove_pointer_t<T>, cudnnStatus_t (*)(T)>;
template <class T>
Owned<T> make(cudnnStatus_t (*create)(T*), cudnnStatus_t (*destroy)(T)) {
  T made = nullptr;
  Cudnn::library().check(create(&made), "creating a handle");
  return {made, destroy};
}

/// The descriptors of one shape and type: NHWC images and KRSC filters, of which the library names the
/// extents in the order N,C,H,W.
struct Problem {
  Problem(const Conv2dShape& s, DType dtype, Math math) : exact(dtype == DType::f32 && math == Math::f32) {
    const Cudnn& lib = Cudnn::library();
    const cudnnDataType_t type = dtype == DType::bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
    lib.check(lib.set_tensor(x.get(), CUDNN_TENSOR_NHWC, type, s.N, s.C, s.H, s.W), "x");
    lib.check(lib.set_tensor(y.get(), CUDNN_TENSOR_NHWC, type, s.N, s.K, s.P(), s.Q()), "y");
    lib.check(lib.set_filter(w.get(), type, CUDNN_TENSOR_NHWC, s.K, s.C, s.R, s.S), "filters");
    lib.check(lib.set_convolution(convolution.get(), s.padding, s.padding, s.stride, s.stride, 1, 1,
                                  CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT),
              "convolution");
    // The library's default for f32 are the tensor cores, hence tf32.
    set_math(exact ? CUDNN_FMA_MATH : dtype == DType::bf16 ? CUDNN_TENSOR_OP_MATH : CUDNN_DEFAULT_MATH);
  }

  void set_math(cudnnMathType_t type) {
    const Cudnn& lib = Cudnn::library();
    lib.check(lib.set_math(convolution.get(), type), "math type");
  }

  Owned<cudnnTensorDescriptor_t> x = make(Cudnn::library().create_tensor, Cudnn::library().destroy_tensor);
  Owned<cudnnTensorDescriptor_t> y = make(Cudnn::library().create_tensor, Cudnn::library().destroy_tensor);
  Owned<cudnnFilterDescriptor_t> w = make(Cudnn::library().create_filter, Cudnn::library().destroy_filter);
  Owned<cudnnConvolutionDescriptor_t> convolution =
      make(Cudnn::library().create_convolution, Cudnn::library().destroy_convolution);
  bool exact;  // products of f32 as they are
};

/// A problem with the algorithm for one of its passes.
template <class Algorithm>
struct Plan {
  Problem problem;
  Algorithm algorithm{};
  std::size_t bytes = 0;  // of scratch
};
using ForwardPlan = Plan<cudnnConvolutionFwdAlgo_t>;
using DataPlan = Plan<cudnnConvolutionBwdDataAlgo_t>;
using WeightPlan = Plan<cudnnConvolutionBwdFilterAlgo_t>;

constexpr std::size_t kMostScratch = std::size_t(1) << 30;

/// Gives the plan the first of the algorithms `ask(count, &returned, results)` that computes the same bits
/// each time in no more than kMostScratch.
template <class Perf, class P, class Ask>
void choose(P* plan, const char* what, Ask&& ask) {
  std::array<Perf, 16> found{};
  int count = 0;
  Cudnn::library().check(ask(static_cast<int>(found.size()), &count, found.data()), what);
  for (int i = 0; i < count; ++i) {
    const Perf& candidate = found[static_cast<std::size_t>(i)];
    if (candidate.status != CUDNN_STATUS_SUCCESS || candidate.determinism != CUDNN_DETERMINISTIC ||
        candidate.memory > kMostScratch)
      continue;
    plan->algorithm = candidate.algo;
    if (!plan->problem.exact) plan->problem.set_math(candidate.mathType);
    return;
  }
  throw std::runtime_error(std::string("cuDNN: ") + what +
                           ": no deterministic algorithm for this shape; --conv custom has one");
}

/// What one thread knows of the library on one device.
class Context {
 public:
  static Context& of(const Cuda& backend) {
    thread_local std::map<int, Context> contexts;
    Context& context = contexts[backend.index];
    const Cudnn& lib = Cudnn::library();
    lib.check(lib.set_stream(context.handle(), backend.stream), "stream");
    return context;
  }

  cudnnHandle_t handle() const { return handle_.get(); }

  ForwardPlan& forward(const Conv2dShape& s, DType dtype, Math math) {
    return planned(forward_, s, dtype, math, [&](const Cudnn& lib, ForwardPlan* plan) {
      const Problem& p = plan->problem;
      choose<cudnnConvolutionFwdAlgoPerf_t>(plan, "forward", [&](int most, int* count, auto* found) {
        return lib.forward_algorithms(handle(), p.x.get(), p.w.get(), p.convolution.get(), p.y.get(), most,
                                      count, found);
      });
      lib.check(lib.forward_bytes(handle(), p.x.get(), p.w.get(), p.convolution.get(), p.y.get(),
                                  plan->algorithm, &plan->bytes),
                "forward's scratch");
    });
  }

  DataPlan& backward_data(const Conv2dShape& s, DType dtype, Math math) {
    return planned(data_, s, dtype, math, [&](const Cudnn& lib, DataPlan* plan) {
      const Problem& p = plan->problem;
      choose<cudnnConvolutionBwdDataAlgoPerf_t>(
          plan, "data gradient", [&](int most, int* count, auto* found) {
            return lib.data_algorithms(handle(), p.w.get(), p.y.get(), p.convolution.get(), p.x.get(), most,
                                       count, found);
          });
      lib.check(lib.data_bytes(handle(), p.w.get(), p.y.get(), p.convolution.get(), p.x.get(),
                               plan->algorithm, &plan->bytes),
                "data gradient's scratch");
    });
  }

  WeightPlan& backward_weight(const Conv2dShape& s, DType dtype, Math math) {
    return planned(weight_, s, dtype, math, [&](const Cudnn& lib, WeightPlan* plan) {
      const Problem& p = plan->problem;
      choose<cudnnConvolutionBwdFilterAlgoPerf_t>(
          plan, "weight gradient", [&](int most, int* count, auto* found) {
            return lib.weight_algorithms(handle(), p.x.get(), p.y.get(), p.convolution.get(), p.w.get(), most,
                                         count, found);
          });
      lib.check(lib.weight_bytes(handle(), p.x.get(), p.y.get(), p.convolution.get(), p.w.get(),
                                 plan->algorithm, &plan->bytes),
                "weight gradient's scratch");
    });
  }

 private:
  using Key = std::array<int, 11>;
  template <class P>
  using Plans = std::map<Key, P>;

  template <class P, class Fill>
  static P& planned(Plans<P>& plans, const Conv2dShape& s, DType dtype, Math math, Fill&& fill) {
    const Key key{s.N,
                  s.H,
                  s.W,
                  s.C,
                  s.K,
                  s.R,
                  s.S,
                  s.stride,
                  s.padding,
                  static_cast<int>(dtype),
                  static_cast<int>(math)};
    const auto known = plans.find(key);
    if (known != plans.end()) return known->second;
    P plan{Problem(s, dtype, math)};
    fill(Cudnn::library(), &plan);
    return plans.emplace(key, std::move(plan)).first->second;
  }

  Owned<cudnnHandle_t> handle_ = make(Cudnn::library().create, Cudnn::library().destroy);
  Plans<ForwardPlan> forward_;
  Plans<DataPlan> data_;
  Plans<WeightPlan> weight_;
};

constexpr float kOne = 1, kZero = 0;

}  // namespace

void require_cudnn() {
  Cudnn::library();
}

void cudnn_forward(const Cuda& backend, const Conv2dShape& s, Math math, ConstView x, ConstView w, View y) {
  const Cudnn& lib = Cudnn::library();
  Context& context = Context::of(backend);
  const ForwardPlan& plan = context.forward(s, x.dtype, math);
  const Problem& p = plan.problem;
  lib.check(lib.forward(context.handle(), &kOne, p.x.get(), x.data, p.w.get(), w.data, p.convolution.get(),
                        plan.algorithm, backend.workspace(plan.bytes), plan.bytes, &kZero, p.y.get(), y.data),
            "forward");
}

void cudnn_backward_data(
    const Cuda& backend, const Conv2dShape& s, Math math, ConstView dy, ConstView w, View dx) {
  const Cudnn& lib = Cudnn::library();
  Context& context = Context::of(backend);
  const DataPlan& plan = context.backward_data(s, dy.dtype, math);
  const Problem& p = plan.problem;
  lib.check(lib.backward_data(context.handle(), &kOne, p.w.get(), w.data, p.y.get(), dy.data,
                              p.convolution.get(), plan.algorithm, backend.workspace(plan.bytes), plan.bytes,
                              &kZero, p.x.get(), dx.data),
            "data gradient");
}

void cudnn_backward_weight(
    const Cuda& backend, const Conv2dShape& s, Math math, ConstView x, ConstView dy, float* dw) {
  const Cudnn& lib = Cudnn::library();
  Context& context = Context::of(backend);
  const WeightPlan& plan = context.backward_weight(s, x.dtype, math);
  const Problem& p = plan.problem;
  const std::int64_t count = std::int64_t(s.K) * s.R * s.S * s.C;
  const bool rounded = x.dtype == DType::bf16;
  void* result = rounded ? backend.workspace(static_cast<std::size_t>(count) * size_of(DType::bf16)) : dw;
  lib.check(lib.backward_weight(context.handle(), &kOne, p.x.get(), x.data, p.y.get(), dy.data,
                                p.convolution.get(), plan.algorithm, backend.workspace(plan.bytes),
                                plan.bytes, &kZero, p.w.get(), result),
            "weight gradient");
  if (rounded) convert(backend, count, {result, DType::bf16}, {dw, DType::f32});
}

}  // namespace clx::kernels

#else

namespace clx::kernels {

void require_cudnn() {
  throw std::runtime_error("cudnn: this build has no cuDNN headers; --conv custom works without");
}
void cudnn_forward(const Cuda&, const Conv2dShape&, Math, ConstView, ConstView, View) {
  require_cudnn();
}
void cudnn_backward_data(const Cuda&, const Conv2dShape&, Math, ConstView, ConstView, View) {
  require_cudnn();
}
void cudnn_backward_weight(const Cuda&, const Conv2dShape&, Math, ConstView, ConstView, float*) {
  require_cudnn();
}

}  // namespace clx::kernels

#endif
#endif
