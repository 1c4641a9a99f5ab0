#include "nn/data/device_images.h"

#include <cstring>

#include "runtime/allocator.h"
#include "runtime/check.h"

namespace clx::data {
namespace {

bool fits(const Tensor& images, Device device, std::optional<std::int64_t> most_bytes) {
  if (device.kind == DeviceKind::cpu) return true;
  const std::size_t most = most_bytes ? static_cast<std::size_t>(*most_bytes) : free_memory(device) / 4;
  return images.bytes() <= most;
}

}  // namespace

DeviceImages::DeviceImages(const Tensor& images, Device device, std::optional<std::int64_t> most_bytes)
    : kept_(fits(images, device, most_bytes)),
      images_(kept_ ? images.to(device) : images),
      staging_(device) {}

Tensor DeviceImages::rows(const std::vector<std::int64_t>& samples) {
  const std::int64_t M = images_.dim(0);
  for (const std::int64_t sample : samples)
    CLX_CHECK(sample >= 0 && sample < M, "images: expected samples within 0…", M - 1, ", got ", sample);
  const auto N = static_cast<std::int64_t>(samples.size());
  const std::size_t row = images_.bytes() / static_cast<std::size_t>(M);
  const auto* from = images_.data<std::uint8_t>();
  return staging_.send({N, images_.dim(1), images_.dim(2), images_.dim(3)}, DType::u8, [&](void* to) {
    auto* next = static_cast<std::uint8_t*>(to);
    for (const std::int64_t sample : samples) {
      std::memcpy(next, from + static_cast<std::size_t>(sample) * row, row);
      next += row;
    }
  });
}

Tensor send_ids(Staging& staging, const std::vector<std::int64_t>& samples) {
  return staging.send({static_cast<std::int64_t>(samples.size())}, DType::i64, [&](void* to) {
    std::memcpy(to, samples.data(), samples.size() * sizeof(std::int64_t));
  });
}

}  // namespace clx::data
