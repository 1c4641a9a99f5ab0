// A library that answers to cuDNN's functions with plain loops on host memory, so that what is passed to them
// is checked without a GPU. It refuses what kernels/cuda/cudnn.cpp should not ask for.
#include <cudnn.h>

#include "tests/kernels/convolved.h"
#include "tests/kernels/fake_library.h"

struct cudnnContext {};
struct cudnnTensorStruct {
  cudnnDataType_t type;
  int n, c, h, w;
  clx::DType dtype() const { return type == CUDNN_DATA_BFLOAT16 ? clx::DType::bf16 : clx::DType::f32; }
  std::size_t size() const { return std::size_t(n) * c * h * w; }
};
struct cudnnFilterStruct : cudnnTensorStruct {};
struct cudnnConvolutionStruct {
  int padding, stride;
  cudnnMathType_t math;
};

using namespace clx::kernels;

namespace {

// The first two of the list must not be taken: one adds in any order, one does not work here.
constexpr int kRight = 1, kListed = 3;

template <class Algorithm, class Perf>
cudnnStatus_t list(cudnnConvolutionDescriptor_t convolution, int most, int* count, Perf* found) {
  if (most < kListed) return CUDNN_STATUS_BAD_PARAM;
  const auto algorithm = [](int i) { return static_cast<Algorithm>(i); };
  found[0] = {algorithm(0), CUDNN_STATUS_SUCCESS, 1, 0, CUDNN_NON_DETERMINISTIC, convolution->math, {}};
  found[1] = {algorithm(2), CUDNN_STATUS_NOT_SUPPORTED, -1, 0, CUDNN_DETERMINISTIC, convolution->math, {}};
  found[2] = {algorithm(kRight),   CUDNN_STATUS_SUCCESS, 2, kScratch,
              CUDNN_DETERMINISTIC, CUDNN_TENSOR_OP_MATH, {}};
  *count = kListed;
  return CUDNN_STATUS_SUCCESS;
}

Conv2dShape shape_of(cudnnTensorDescriptor_t x,
                     cudnnFilterDescriptor_t w,
                     cudnnConvolutionDescriptor_t convolution) {
  return {x->n, x->h, x->w, x->c, w->n, w->h, w->w, convolution->stride, convolution->padding};
}

bool agree(cudnnTensorDescriptor_t x,
           cudnnFilterDescriptor_t w,
           cudnnConvolutionDescriptor_t convolution,
           cudnnTensorDescriptor_t y) {
  const auto s = shape_of(x, w, convolution);
  // Exact math stays exact; otherwise the math that the library named with the algorithm must be set.
  const bool math = convolution->math == CUDNN_TENSOR_OP_MATH ||
                    (convolution->math == CUDNN_FMA_MATH && x->type == CUDNN_DATA_FLOAT);
  return math && x->c == w->c && y->n == x->n && y->c == w->n && y->h == s.P() && y->w == s.Q() &&
         x->type == w->type && x->type == y->type;
}

std::vector<double> read(const void* from, const cudnnTensorStruct& d) {
  std::vector<double> values(d.size());
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = value_at(from, d.dtype(), i);
  return values;
}
void write(const std::vector<double>& values, const cudnnTensorStruct& d, void* to) {
  for (std::size_t i = 0; i < values.size(); ++i)
    if (d.dtype() == clx::DType::bf16)
      static_cast<clx::bf16*>(to)[i] = clx::bf16(static_cast<float>(values[i]));
    else
      static_cast<float*>(to)[i] = static_cast<float>(values[i]);
}

}  // namespace

extern "C" {

const char* cudnnGetErrorString(cudnnStatus_t status) {
  return status_text(status == CUDNN_STATUS_SUCCESS);
}
cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
  make<cudnnContext>(handle);
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
  delete handle;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetStream(cudnnHandle_t, cudaStream_t) {
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t* d) {
  make<cudnnTensorStruct>(d);
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t d) {
  delete d;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetTensor4dDescriptor(
    cudnnTensorDescriptor_t d, cudnnTensorFormat_t format, cudnnDataType_t type, int n, int c, int h, int w) {
  *d = {type, n, c, h, w};
  return format == CUDNN_TENSOR_NHWC ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
}
cudnnStatus_t cudnnCreateFilterDescriptor(cudnnFilterDescriptor_t* d) {
  make<cudnnFilterStruct>(d);
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnDestroyFilterDescriptor(cudnnFilterDescriptor_t d) {
  delete d;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetFilter4dDescriptor(
    cudnnFilterDescriptor_t d, cudnnDataType_t type, cudnnTensorFormat_t format, int k, int c, int h, int w) {
  *d = {{type, k, c, h, w}};
  return format == CUDNN_TENSOR_NHWC ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
}
cudnnStatus_t cudnnCreateConvolutionDescriptor(cudnnConvolutionDescriptor_t* d) {
  make<cudnnConvolutionStruct>(d);
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnDestroyConvolutionDescriptor(cudnnConvolutionDescriptor_t d) {
  delete d;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetConvolution2dDescriptor(cudnnConvolutionDescriptor_t d,
                                              int pad_h,
                                              int pad_w,
                                              int u,
                                              int v,
                                              int dilation_h,
                                              int dilation_w,
                                              cudnnConvolutionMode_t mode,
                                              cudnnDataType_t compute) {
  *d = {pad_h, u, CUDNN_DEFAULT_MATH};
  return pad_h == pad_w && u == v && dilation_h == 1 && dilation_w == 1 && mode == CUDNN_CROSS_CORRELATION &&
                 compute == CUDNN_DATA_FLOAT
             ? CUDNN_STATUS_SUCCESS
             : CUDNN_STATUS_BAD_PARAM;
}
cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t d, cudnnMathType_t math) {
  d->math = math;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetConvolutionForwardAlgorithm_v7(cudnnHandle_t,
                                                     cudnnTensorDescriptor_t,
                                                     cudnnFilterDescriptor_t,
                                                     cudnnConvolutionDescriptor_t convolution,
                                                     cudnnTensorDescriptor_t,
                                                     int most,
                                                     int* count,
                                                     cudnnConvolutionFwdAlgoPerf_t* found) {
  return list<cudnnConvolutionFwdAlgo_t>(convolution, most, count, found);
}
cudnnStatus_t cudnnGetConvolutionBackwardDataAlgorithm_v7(cudnnHandle_t,
                                                          cudnnFilterDescriptor_t,
                                                          cudnnTensorDescriptor_t,
                                                          cudnnConvolutionDescriptor_t convolution,
                                                          cudnnTensorDescriptor_t,
                                                          int most,
                                                          int* count,
                                                          cudnnConvolutionBwdDataAlgoPerf_t* found) {
  return list<cudnnConvolutionBwdDataAlgo_t>(convolution, most, count, found);
}
cudnnStatus_t cudnnGetConvolutionBackwardFilterAlgorithm_v7(cudnnHandle_t,
                                                            cudnnTensorDescriptor_t,
                                                            cudnnTensorDescriptor_t,
                                                            cudnnConvolutionDescriptor_t convolution,
                                                            cudnnFilterDescriptor_t,
                                                            int most,
                                                            int* count,
                                                            cudnnConvolutionBwdFilterAlgoPerf_t* found) {
  return list<cudnnConvolutionBwdFilterAlgo_t>(convolution, most, count, found);
}

cudnnStatus_t cudnnGetConvolutionForwardWorkspaceSize(cudnnHandle_t,
                                                      cudnnTensorDescriptor_t,
                                                      cudnnFilterDescriptor_t,
                                                      cudnnConvolutionDescriptor_t,
                                                      cudnnTensorDescriptor_t,
                                                      cudnnConvolutionFwdAlgo_t,
                                                      std::size_t* bytes) {
  *bytes = kScratch;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnGetConvolutionBackwardDataWorkspaceSize(cudnnHandle_t,
                                                           cudnnFilterDescriptor_t,
                                                           cudnnTensorDescriptor_t,
                                                           cudnnConvolutionDescriptor_t,
                                                           cudnnTensorDescriptor_t,
                                                           cudnnConvolutionBwdDataAlgo_t,
                                                           std::size_t* bytes) {
  *bytes = kScratch;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnGetConvolutionBackwardFilterWorkspaceSize(cudnnHandle_t,
                                                             cudnnTensorDescriptor_t,
                                                             cudnnTensorDescriptor_t,
                                                             cudnnConvolutionDescriptor_t,
                                                             cudnnFilterDescriptor_t,
                                                             cudnnConvolutionBwdFilterAlgo_t,
                                                             std::size_t* bytes) {
  *bytes = kScratch;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnConvolutionForward(cudnnHandle_t,
                                      const void* alpha,
                                      cudnnTensorDescriptor_t x,
                                      const void* x_data,
                                      cudnnFilterDescriptor_t w,
                                      const void* w_data,
                                      cudnnConvolutionDescriptor_t convolution,
                                      cudnnConvolutionFwdAlgo_t algorithm,
                                      void* scratch,
                                      std::size_t bytes,
                                      const void* beta,
                                      cudnnTensorDescriptor_t y,
                                      void* y_data) {
  if (!agree(x, w, convolution, y) || algorithm != kRight || !called_well(alpha, beta, scratch, bytes))
    return CUDNN_STATUS_BAD_PARAM;
  const std::vector<double> none(y->size());
  write(convolved(shape_of(x, w, convolution), read(x_data, *x), read(w_data, *w), none).y, *y, y_data);
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnConvolutionBackwardData(cudnnHandle_t,
                                           const void* alpha,
                                           cudnnFilterDescriptor_t w,
                                           const void* w_data,
                                           cudnnTensorDescriptor_t dy,
                                           const void* dy_data,
                                           cudnnConvolutionDescriptor_t convolution,
                                           cudnnConvolutionBwdDataAlgo_t algorithm,
                                           void* scratch,
                                           std::size_t bytes,
                                           const void* beta,
                                           cudnnTensorDescriptor_t dx,
                                           void* dx_data) {
  if (!agree(dx, w, convolution, dy) || algorithm != kRight || !called_well(alpha, beta, scratch, bytes))
    return CUDNN_STATUS_BAD_PARAM;
  const std::vector<double> none(dx->size());
  write(convolved(shape_of(dx, w, convolution), none, read(w_data, *w), read(dy_data, *dy)).dx, *dx, dx_data);
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnConvolutionBackwardFilter(cudnnHandle_t,
                                             const void* alpha,
                                             cudnnTensorDescriptor_t x,
                                             const void* x_data,
                                             cudnnTensorDescriptor_t dy,
                                             const void* dy_data,
                                             cudnnConvolutionDescriptor_t convolution,
                                             cudnnConvolutionBwdFilterAlgo_t algorithm,
                                             void* scratch,
                                             std::size_t bytes,
                                             const void* beta,
                                             cudnnFilterDescriptor_t dw,
                                             void* dw_data) {
  if (!agree(x, dw, convolution, dy) || algorithm != kRight || !called_well(alpha, beta, scratch, bytes))
    return CUDNN_STATUS_BAD_PARAM;
  const std::vector<double> none(dw->size());
  write(convolved(shape_of(x, dw, convolution), read(x_data, *x), none, read(dy_data, *dy)).dw, *dw, dw_data);
  return CUDNN_STATUS_SUCCESS;
}

}  // extern "C"
