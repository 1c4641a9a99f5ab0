// The one type of the framework: a handle to a dense array on a device, maybe with a gradient node.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kernels/dtype.h"
#include "runtime/device.h"
#include "runtime/shape.h"

namespace clx {

struct Node;
struct Storage;

/// Copying shares storage. Dense, row-major; images are N,H,W,C. Contents are written through
/// `mutable_*`, which marks the storage as changed; `backward` refuses tensors changed after they
/// were saved. Reading (`to_host`, `item`) is the only thing that waits for a device.
class Tensor {
 public:
  /// No tensor: defined() is false.
  Tensor() = default;
  /// Uninitialised memory. Throws Error if an extent is negative.
  explicit Tensor(Shape shape, Device device = kCpu, DType dtype = DType::f32);

  static Tensor zeros(Shape shape, Device device = kCpu, DType dtype = DType::f32);
  static Tensor full(Shape shape, float value, Device device = kCpu, DType dtype = DType::f32);
  /// Copies `values` (float, bf16, u8, i32 or i64). Throws Error if their number is not shape.size().
  template <class T>
  static Tensor from_host(Shape shape, std::span<const T> values, Device device = kCpu);
  template <class T>
  static Tensor from_host(Shape shape, const std::vector<T>& values, Device device = kCpu) {
    return from_host(std::move(shape), std::span<const T>(values), device);
  }

  bool defined() const { return storage_ != nullptr; }
  const Shape& shape() const { return shape_; }
  std::int64_t dim(int i) const { return shape_[i]; }
  int rank() const { return shape_.rank(); }
  std::int64_t size() const { return shape_.size(); }
  DType dtype() const { return dtype_; }
  Device device() const;
  std::size_t bytes() const { return static_cast<std::size_t>(size()) * size_of(dtype_); }

  ConstView view() const { return defined() ? ConstView{raw(), dtype_} : ConstView{}; }
  View mutable_view();
  /// Device memory as T. Throws Error if T is not the dtype. Host code may dereference it on cpu and
  /// emulated only.
  template <class T = float>
  const T* data() const;
  template <class T = float>
  T* mutable_data();

  /// A copy of the contents on the host, after all work queued for this tensor.
  template <class T = float>
  std::vector<T> to_host() const;
  /// The value of a one-element f32 tensor.
  float item() const;
  /// The same contents on another device; not recorded for gradients. Shares storage if it is there.
  Tensor to(Device device) const;
  /// Overwrites the contents with those of `from`, of the same shape, type and device; in stream order.
  /// Throws    Error if they differ
  void assign(const Tensor& from);
  /// A copy of the contents; not recorded for gradients.
  Tensor clone() const;
  /// The same storage, without history.
  Tensor detach() const;

  /// The same elements under another shape / the rows begin … end − 1 of the leading axis. Both share
  /// storage and pass gradients.
  Tensor reshape(Shape shape) const;
  Tensor slice(std::int64_t begin, std::int64_t end) const;

  /// Counts in-place writes to the storage.
  std::uint64_t version() const;

  bool requires_grad() const { return node_ != nullptr; }
  /// Makes this a leaf whose gradient `backward` accumulates. f32 or bf16 only.
  Tensor& require_grad();
  /// The accumulated gradient of a leaf; undefined before the first backward.
  Tensor grad() const;
  void clear_grad();

  /// What keeps the memory alive; tensors that share it compare equal.
  std::shared_ptr<const void> storage() const { return storage_; }

  const std::shared_ptr<Node>& node() const { return node_; }
  void set_node(std::shared_ptr<Node> node) { node_ = std::move(node); }

 private:
  const void* raw() const;
  void count_write();
  Tensor alias(Shape shape, std::size_t offset_bytes) const;

  Shape shape_;
  DType dtype_ = DType::f32;
  std::size_t offset_bytes_ = 0;
  std::shared_ptr<Storage> storage_;
  std::shared_ptr<Node> node_;
};

}  // namespace clx
