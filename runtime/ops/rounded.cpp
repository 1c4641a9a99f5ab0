#include "runtime/ops/rounded.h"

#include <map>
#include <mutex>

#include "runtime/ops/convert.h"

namespace clx {

Tensor rounded(const Tensor& w, DType dtype) {
  if (w.dtype() == dtype) return w.detach();
  struct Copy {
    std::weak_ptr<const void> storage;
    std::uint64_t version = 0;
    Tensor tensor;
  };
  // Never destroyed: tensors of static lifetime may ask late. Keyed by address; the weak pointer tells a
  // new tensor at the address of an old one.
  static auto& mutex = *new std::mutex;
  static auto& copies = *new std::map<const void*, Copy>;
  const std::lock_guard lock(mutex);
  Copy& copy = copies[w.view().data];
  const std::shared_ptr<const void> storage = w.storage();
  if (copy.storage.lock() != storage || copy.version != w.version()) {
    std::erase_if(copies, [](const auto& entry) {
      return entry.second.storage.expired() && entry.second.tensor.defined();
    });
    copies[w.view().data] = {storage, w.version(), convert(w, dtype)};
  }
  return copies[w.view().data].tensor;
}

}  // namespace clx
