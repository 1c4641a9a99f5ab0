#include "runtime/tensor.h"

#include <atomic>
#include <limits>

#include "kernels/elementwise.h"
#include "kernels/memory.h"
#include "runtime/allocator.h"
#include "runtime/autograd.h"
#include "runtime/capture.h"
#include "runtime/check.h"
#include "runtime/dispatch.h"
#include "runtime/node.h"

namespace clx {

struct Storage {
  Storage(Device device_, std::size_t bytes) : device(device_), data(allocate_memory(device_, bytes)) {}
  ~Storage() { release_memory(device, data); }
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  Device device;
  void* data;
  std::atomic<std::uint64_t> version{0};
};

namespace {

std::size_t checked_bytes(const Shape& shape, DType dtype) {
  std::size_t bytes = size_of(dtype);
  for (const std::int64_t d : shape.dims()) {
    CLX_CHECK(d >= 0, "tensor: expected extents of at least 0, got ", shape);
    CLX_CHECK(d == 0 || bytes <= std::numeric_limits<std::size_t>::max() / 2 / static_cast<std::size_t>(d),
              "tensor: shape ", shape, " is too large");
    bytes *= static_cast<std::size_t>(d);
  }
  return bytes;
}

// The host has no part in what a graph replays.
void require_no_capture(const char* what, Device device) {
  CLX_CHECK(!current_capture(device), what,
            ": expected to be called outside a capture, got called within one; a "
            "graph neither waits for the device nor reads the host's memory");
}

}  // namespace

void mark_written(Storage& storage) {
  ++storage.version;
}

Tensor::Tensor(Shape shape, Device device, DType dtype) : shape_(std::move(shape)), dtype_(dtype) {
  storage_ = std::make_shared<Storage>(device, checked_bytes(shape_, dtype));
}

Tensor Tensor::zeros(Shape shape, Device device, DType dtype) {
  Tensor t(std::move(shape), device, dtype);
  on(device, [&](const auto& backend) { kernels::zero(backend, t.bytes(), t.mutable_view().data); });
  return t;
}

Tensor Tensor::full(Shape shape, float value, Device device, DType dtype) {
  CLX_CHECK(dtype == DType::f32 || dtype == DType::bf16, "full: expected f32 or bf16, got ", name_of(dtype));
  Tensor t(std::move(shape), device, dtype);
  on(device, [&](const auto& backend) { kernels::fill(backend, t.size(), value, t.mutable_view()); });
  return t;
}

template <class T>
Tensor Tensor::from_host(Shape shape, std::span<const T> values, Device device) {
  require_no_capture("from_host", device);
  Tensor t(std::move(shape), device, kDTypeOf<T>);
  CLX_CHECK(static_cast<std::int64_t>(values.size()) == t.size(), "from_host: expected ", t.size(),
            " values for shape ", t.shape(), ", got ", values.size());
  on(device, [&](const auto& backend) {
    kernels::copy_from_host(backend, t.bytes(), values.data(), t.mutable_view().data);
  });
  return t;
}

Device Tensor::device() const {
  return storage_ ? storage_->device : kCpu;
}

const void* Tensor::raw() const {
  return static_cast<const char*>(storage_->data) + offset_bytes_;
}

void Tensor::count_write() {
  mark_written(*storage_);
  if (Capture* capture = current_capture(storage_->device)) capture->written.push_back(storage_);
}

View Tensor::mutable_view() {
  if (!storage_) return {};
  count_write();
  return {static_cast<char*>(storage_->data) + offset_bytes_, dtype_};
}

template <class T>
const T* Tensor::data() const {
  CLX_CHECK(defined(), "tensor: has no contents");
  CLX_CHECK(dtype_ == kDTypeOf<T>, "tensor: expected ", name_of(kDTypeOf<T>), ", got ", name_of(dtype_));
  return static_cast<const T*>(raw());
}

template <class T>
T* Tensor::mutable_data() {
  T* p = const_cast<T*>(data<T>());
  count_write();
  return p;
}

template <class T>
std::vector<T> Tensor::to_host() const {
  require_no_capture("to_host", device());
  const T* from = data<T>();
  std::vector<T> values(static_cast<std::size_t>(size()));
  on(device(), [&](const auto& backend) { kernels::copy_to_host(backend, bytes(), from, values.data()); });
  return values;
}

float Tensor::item() const {
  require_no_capture("item", device());
  CLX_CHECK(size() == 1, "item: expected one element, got shape ", shape_);
  return to_host<float>()[0];
}

Tensor Tensor::to(Device to) const {
  if (!defined() || to == device()) return detach();
  require_no_capture("to", device());
  require_no_capture("to", to);
  Tensor t(shape_, to, dtype_);
  if (device().kind != DeviceKind::cuda) {
    on(to,
       [&](const auto& backend) { kernels::copy_from_host(backend, bytes(), raw(), t.mutable_view().data); });
  } else if (to.kind != DeviceKind::cuda) {
    on(device(),
       [&](const auto& backend) { kernels::copy_to_host(backend, bytes(), raw(), t.mutable_view().data); });
  } else {
    std::vector<char> host(bytes());
    on(device(), [&](const auto& backend) { kernels::copy_to_host(backend, bytes(), raw(), host.data()); });
    on(to, [&](const auto& backend) {
      kernels::copy_from_host(backend, bytes(), host.data(), t.mutable_view().data);
    });
  }
  return t;
}

void Tensor::assign(const Tensor& from) {
  CLX_CHECK(defined() && from.defined() && from.shape() == shape_ && from.dtype() == dtype_ &&
                from.device() == device(),
            "assign: expected contents like ", shape_, " of ", name_of(dtype_), " on ", device(), ", got ",
            from.shape(), " of ", name_of(from.dtype()), " on ", from.device());
  on(device(),
     [&](const auto& backend) { kernels::copy(backend, bytes(), from.raw(), mutable_view().data); });
}

Tensor Tensor::clone() const {
  if (!defined()) return {};
  Tensor t(shape_, device(), dtype_);
  on(device(), [&](const auto& backend) { kernels::copy(backend, bytes(), raw(), t.mutable_view().data); });
  return t;
}

Tensor Tensor::detach() const {
  Tensor t = *this;
  t.node_.reset();
  return t;
}

Tensor Tensor::alias(Shape shape, std::size_t offset_bytes) const {
  Tensor t = detach();
  t.shape_ = std::move(shape);
  t.offset_bytes_ = offset_bytes_ + offset_bytes;
  return t;
}

Tensor Tensor::reshape(Shape shape) const {
  CLX_CHECK(defined() && shape.size() == size(), "reshape: expected ", size(), " elements, got ", shape);
  const Shape before = shape_;
  return record("reshape", alias(std::move(shape), 0), {*this},
                [before](const Tensor& dy, const Needs&) { return std::vector{dy.reshape(before)}; });
}

Tensor Tensor::slice(std::int64_t begin, std::int64_t end) const {
  CLX_CHECK(rank() > 0 && 0 <= begin && begin <= end && end <= dim(0), "slice: expected rows within 0…",
            rank() ? dim(0) : 0, ", got ", begin, "…", end);
  std::vector<std::int64_t> dims = shape_.dims();
  const std::size_t row_bytes = dims[0] ? bytes() / static_cast<std::size_t>(dims[0]) : 0;
  dims[0] = end - begin;
  const Shape before = shape_;
  const std::size_t offset = row_bytes * static_cast<std::size_t>(begin);
  return record("slice", alias(Shape(std::move(dims)), offset), {*this},
                [before, offset](const Tensor& dy, const Needs&) {
                  Tensor dx = Tensor::zeros(before, dy.device(), dy.dtype());
                  on(dy.device(), [&](const auto& backend) {
                    kernels::copy(backend, dy.bytes(), dy.view().data,
                                  static_cast<char*>(dx.mutable_view().data) + offset);
                  });
                  return std::vector{dx};
                });
}

std::uint64_t Tensor::version() const {
  return storage_ ? storage_->version.load() : 0;
}

Tensor& Tensor::require_grad() {
  CLX_CHECK(defined() && (dtype_ == DType::f32 || dtype_ == DType::bf16),
            "require_grad: expected a tensor of f32 or bf16");
  node_ = make_leaf();
  return *this;
}

Tensor Tensor::grad() const {
  return node_ ? node_->gradient : Tensor();
}

void Tensor::clear_grad() {
  if (node_) node_->gradient = Tensor();
}

#define CLX_INSTANTIATE(T)                                              \
  template Tensor Tensor::from_host(Shape, std::span<const T>, Device); \
  template const T* Tensor::data<T>() const;                            \
  template T* Tensor::mutable_data<T>();                                \
  template std::vector<T> Tensor::to_host<T>() const;
CLX_INSTANTIATE(float)
CLX_INSTANTIATE(bf16)
CLX_INSTANTIATE(std::uint8_t)
CLX_INSTANTIATE(std::int32_t)
CLX_INSTANTIATE(std::int64_t)
#undef CLX_INSTANTIATE

}  // namespace clx
