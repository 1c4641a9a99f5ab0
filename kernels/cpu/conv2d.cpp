#include "kernels/conv2d.h"

#include <algorithm>

#include "kernels/cpu/convolution.h"
#include "kernels/cpu/filter_layout.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/taps.h"
#include "kernels/cpu/winograd.h"
#include "kernels/elementwise.h"

namespace clx::kernels {
namespace {

std::int64_t x_size(const Conv2dShape& s) {
  return std::int64_t(s.N) * s.H * s.W * s.C;
}
std::int64_t y_size(const Conv2dShape& s) {
  return std::int64_t(s.N) * s.P() * s.Q() * s.K;
}
std::int64_t w_size(const Conv2dShape& s) {
  return std::int64_t(s.K) * s.R * s.S * s.C;
}

// Processors without bf16 instructions compute in f32 scratch memory.
bool by_way_of_f32(DType dtype) {
  static const bool has_bf16 = onednn_has_bf16();
  return dtype == DType::bf16 && !has_bf16;
}

// oneDNN 2.6.3 does so for many shapes with windows mostly in the padding, or wider padding than 1; for no
// others.
bool onednn_adds_wrong_residuals(const Conv2dShape& s) {
  return s.padding > 1 || 2 * s.padding >= std::min(s.R, s.S);
}

// And sums wrong products of bf16 with pointwise filters where the sum is over an odd number of channels.
bool onednn_sums_wrong_products(const Conv2dShape& s, DType dtype, int channels) {
  return dtype == DType::bf16 && s.R * s.S == 1 && channels % 2 != 0;
}

View f32_scratch(const Cpu& backend, std::int64_t n) {
  return {backend.workspace(static_cast<std::size_t>(n) * sizeof(float)), DType::f32};
}
ConstView in_f32(const Cpu& backend, std::int64_t n, ConstView v) {
  const View f32 = f32_scratch(backend, n);
  convert(backend, n, v, f32);
  return f32;
}

// A batch is cut into chunks of a few images, each convolved by one thread. How many depends on the
// image alone, so that neither the batch nor the number of threads changes a result.
constexpr int kPositions = 256;  // output positions that keep a thread's registers busy
// A chunk's filter gradient is written, read and added once, which so many positions pay for …
constexpr int kPositionsPerSum = 1024;
constexpr int kFewestSums = 4, kMostSums = 16;  // … but the threads need work and memory is finite.

int images_per_chunk(const Conv2dShape& s) {
  return std::clamp((kPositions + s.P() * s.Q() - 1) / (s.P() * s.Q()), 1, s.N);
}

int images_per_sum(const Conv2dShape& s) {
  const auto share = [&](int sums) { return (s.N + sums - 1) / sums; };
  return std::clamp((kPositionsPerSum - 1) / (s.P() * s.Q()) + 1, share(kMostSums), share(kFewestSums));
}

// The convolutions of the chunks of a batch: all alike but the last, if the batch does not divide.
class ImageChunks {
 public:
  ImageChunks(const Cpu& backend, ConvolutionKey key, int images)
      : N_(key.shape.N), images_(images), last_(N_ % images ? N_ % images : images) {
    key.shape.N = images_;
    main_ = Convolution::cached(key);
    key.shape.N = last_;
    rest_ = last_ == images_ ? main_ : Convolution::cached(key);
    scratch_bytes_ = (std::max(main_->scratch_bytes(), rest_->scratch_bytes()) + 255) / 256 * 256;
    scratch_ = static_cast<char*>(backend.workspace(scratch_bytes_ * static_cast<std::size_t>(team_size())));
  }

  int count() const { return (N_ + images_ - 1) / images_; }
  std::int64_t first_image(std::int64_t chunk) const { return chunk * images_; }
  const Convolution& of(std::int64_t chunk) const { return chunk + 1 < count() ? *main_ : *rest_; }
  const Convolution& main() const { return *main_; }
  const Convolution& rest() const { return *rest_; }
  void* scratch() const { return scratch_ + scratch_bytes_ * static_cast<std::size_t>(team_slot()); }

 private:
  int N_, images_, last_;
  std::shared_ptr<const Convolution> main_, rest_;
  std::size_t scratch_bytes_;
  char* scratch_;
};

const char* at(const void* data, std::int64_t elements, DType dtype) {
  return static_cast<const char*>(data) + elements * static_cast<std::int64_t>(size_of(dtype));
}
char* at(void* data, std::int64_t elements, DType dtype) {
  return static_cast<char*>(data) + elements * static_cast<std::int64_t>(size_of(dtype));
}

// forward or backward_data: out = convolution of `in`, images apart. oneDNN has an epilogue for the forward
// alone; a residual of backward_data is added to a chunk while the caches hold it.
void convolve(const Cpu& backend,
              const ConvolutionKey& key,
              ConstView in,
              ConstView w,
              const Conv2dEpilogue& epilogue,
              View out) {
  const Conv2dShape& s = key.shape;
  const ImageChunks chunks(backend, key, images_per_chunk(s));
  const void* filters = filters_for(backend, chunks.main(), w.data);
  const void* rest_filters = chunks.rest().filter_desc() == chunks.main().filter_desc()
                                 ? filters
                                 : filters_for(backend, chunks.rest(), w.data);
  const std::int64_t x_image = x_size(s) / s.N, y_image = y_size(s) / s.N;
  const bool forward = key.kind == ConvolutionKind::forward;
  const std::int64_t in_image = forward ? x_image : y_image, out_image = forward ? y_image : x_image;
  parallel_for(chunks.count(), [&](std::int64_t chunk) {
    const std::int64_t n = chunks.first_image(chunk);
    const bool last = chunk + 1 == chunks.count();
    chunks.of(chunk).run({at(in.data, n * in_image, in.dtype), last ? rest_filters : filters,
                          at(out.data, n * out_image, out.dtype), epilogue.bias,
                          epilogue.residual ? at(epilogue.residual.data, n * out_image, out.dtype) : nullptr},
                         chunks.scratch());
    if (forward || !epilogue.residual) return;
    const View chunk_out = {at(out.data, n * out_image, out.dtype), out.dtype};
    const std::int64_t images = std::min<std::int64_t>(chunks.first_image(chunk + 1), s.N) - n;
    add(backend, images * out_image, chunk_out,
        {at(epilogue.residual.data, n * out_image, out.dtype), out.dtype}, chunk_out);
  });
}

}  // namespace

void conv2d_forward(const Cpu& backend,
                    const Conv2dShape& s,
                    Math math,
                    ConstView x,
                    ConstView w,
                    const Conv2dEpilogue& epilogue,
                    View y,
                    const void* prepared) {
  if (winograd_computes(s, y.dtype)) {
    winograd_forward(backend, s, x, w, epilogue, y, prepared);
    return;
  }
  const bool add_apart = epilogue.residual && onednn_adds_wrong_residuals(s);
  if (by_way_of_f32(y.dtype) || onednn_sums_wrong_products(s, y.dtype, s.C) ||
      (y.dtype == DType::bf16 && add_apart)) {  // rounds once
    const View sum = f32_scratch(backend, y_size(s));
    Conv2dEpilogue in_floats = epilogue;
    if (epilogue.residual) in_floats.residual = in_f32(backend, y_size(s), epilogue.residual);
    conv2d_forward(backend, s, math, in_f32(backend, x_size(s), x), in_f32(backend, w_size(s), w), in_floats,
                   sum);
    convert(backend, y_size(s), sum, y);
    return;
  }
  if (add_apart) {
    conv2d_forward(backend, s, math, x, w, {.bias = epilogue.bias, .residual = {}, .relu = false}, y);
    add(backend, y_size(s), y, epilogue.residual, y);
    if (epilogue.relu) relu_forward(backend, y_size(s), y, y);
    return;
  }
  const ConvolutionKey key{
      ConvolutionKind::forward, s, y.dtype, epilogue.bias != nullptr, bool(epilogue.residual), epilogue.relu};
  convolve(backend, key, x, w, epilogue, y);
}

int conv2d_moment_parts(const Cpu&, const Conv2dShape&, ConstView, ConstView, ConstView) {
  return 0;
}

std::size_t conv2d_prepared_bytes(const Cpu&, const Conv2dShape& s, DType dtype) {
  return winograd_computes(s, dtype) ? winograd_prepared_bytes(s, dtype) : 0;
}

void conv2d_prepare(const Cpu& backend, const Conv2dShape& s, ConstView w, void* prepared) {
  if (winograd_computes(s, w.dtype)) winograd_prepare(backend, s, w, prepared);
}

void conv2d_backward_data(const Cpu& backend,
                          const Conv2dShape& s,
                          Math math,
                          ConstView dy,
                          ConstView w,
                          View dx,
                          ConstView others) {
  if (winograd_computes(s, dx.dtype)) {
    winograd_backward_data(backend, s, dy, w, dx, others);
    return;
  }
  if (by_way_of_f32(dx.dtype) || onednn_sums_wrong_products(s, dx.dtype, s.K)) {
    const View sum = f32_scratch(backend, x_size(s));
    conv2d_backward_data(backend, s, math, in_f32(backend, y_size(s), dy), in_f32(backend, w_size(s), w), sum,
                         others ? in_f32(backend, x_size(s), others) : ConstView{});
    convert(backend, x_size(s), sum, dx);
    return;
  }
  convolve(backend, {ConvolutionKind::backward_data, s, dx.dtype}, dy, w,
           {.bias = nullptr, .residual = others}, dx);
}

void conv2d_backward_weight(
    const Cpu& backend, const Conv2dShape& s, Math math, ConstView x, ConstView dy, float* dw) {
  if (winograd_computes_weight(s, x.dtype)) {
    winograd_backward_weight(backend, s, x, dy, dw);
    return;
  }
  if (taps_compute_weight(s, x.dtype)) {
    taps_backward_weight(backend, s, x, dy, dw);
    return;
  }
  // oneDNN 2.6.3 sums wrong products of bf16 where an image is narrower than the stride.
  if (by_way_of_f32(x.dtype) || (x.dtype == DType::bf16 && s.W < s.stride)) {
    conv2d_backward_weight(backend, s, math, in_f32(backend, x_size(s), x), in_f32(backend, y_size(s), dy),
                           dw);
    return;
  }
  const ImageChunks chunks(backend, {ConvolutionKind::backward_weight, s, x.dtype}, images_per_sum(s));
  const std::int64_t x_image = x_size(s) / s.N, y_image = y_size(s) / s.N;
  const dnnl::memory::desc &layout = chunks.main().filter_desc(), &krsc = chunks.main().krsc_desc(),
                           &rest_layout = chunks.rest().filter_desc();
  const std::size_t bytes = (layout.get_size() + 255) / 256 * 256;
  const bool in_place = chunks.count() == 1 && layout == krsc;
  char* partials =
      in_place ? reinterpret_cast<char*>(dw)
               : static_cast<char*>(backend.workspace(bytes * static_cast<std::size_t>(chunks.count())));
  const auto partial = [&](std::int64_t chunk) {
    return reinterpret_cast<float*>(partials + bytes * static_cast<std::size_t>(chunk));
  };
  void* rest = rest_layout == layout ? nullptr : backend.workspace(rest_layout.get_size());
  parallel_for(chunks.count(), [&](std::int64_t chunk) {
    const std::int64_t n = chunks.first_image(chunk);
    const bool relaid = rest && chunk + 1 == chunks.count();
    void* out = relaid ? rest : partial(chunk);
    chunks.of(chunk).run({at(x.data, n * x_image, x.dtype), at(dy.data, n * y_image, dy.dtype), out},
                         chunks.scratch());
    if (relaid) copy_filters(rest_layout, rest, layout, partial(chunk));
  });
  if (in_place) return;
  // Sum into the first, in chunk order.
  parallel_ranges(static_cast<std::int64_t>(layout.get_size() / sizeof(float)), 1 << 14,
                  [&](std::int64_t begin, std::int64_t end) {
                    float* sum = partial(0);
                    for (int chunk = 1; chunk < chunks.count(); ++chunk) {
                      const float* term = partial(chunk);
                      for (std::int64_t i = begin; i < end; ++i)
                        sum[i] += term[i];
                    }
                  });
  copy_filters(layout, partials, krsc, dw);
}

}  // namespace clx::kernels
