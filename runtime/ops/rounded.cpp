#include "runtime/ops/rounded.h"

#include <map>
#include <mutex>
#include <utility>

#include "runtime/capture.h"
#include "runtime/ops/convert.h"

namespace clx {

Tensor rounded(const Tensor& w, DType dtype) {
  if (w.dtype() == dtype) return w.detach();
  struct Copy {
    std::weak_ptr<const void> storage;
    std::uint64_t version = 0;
    std::uint64_t capture = 0;  // the pool of the graph that makes it anew at each replay; 0 if it is made
    Tensor tensor;
  };
  using Key = std::pair<const void*, std::int64_t>;
  // Never destroyed: tensors of static lifetime may ask late. Keyed by address and
  // size, as a slice begins where the whole does; the weak pointer tells a new tensor at the address of an
  // old one.
  static auto& mutex = *new std::mutex;
  static auto& copies = *new std::map<Key, Copy>;
  const std::lock_guard lock(mutex);
  const Key key{w.view().data, w.size()};
  Copy& copy = copies[key];
  const std::shared_ptr<const void> storage = w.storage();
  const Capture* const current = current_capture(w.device());
  const std::uint64_t capture = current ? current->pool : 0;
  if (copy.storage.lock() != storage || copy.version != w.version() || copy.capture != capture) {
    std::erase_if(copies, [](const auto& entry) {
      return entry.second.storage.expired() && entry.second.tensor.defined();
    });
    copies[key] = {storage, w.version(), capture, convert(w, dtype)};
  }
  return copies[key].tensor;
}

}  // namespace clx
