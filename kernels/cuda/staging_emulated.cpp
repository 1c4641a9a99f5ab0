// Staging buffers of the emulated device, whose copies have ended when they return.
#include <vector>

#include "kernels/memory.h"
#include "kernels/staging.h"

namespace clx::kernels {
namespace {

class EmulatedStagingBuffer final : public StagingBuffer {
 public:
  explicit EmulatedStagingBuffer(std::size_t bytes) : memory_(bytes) {}
  void* open() override { return memory_.data(); }
  void send(std::size_t bytes, void* to) override { copy_from_host(Emulated{}, bytes, memory_.data(), to); }

 private:
  std::vector<char> memory_;
};

}  // namespace

std::unique_ptr<StagingBuffer> make_staging_buffer(const Emulated&, std::size_t bytes) {
  return std::make_unique<EmulatedStagingBuffer>(bytes);
}

}  // namespace clx::kernels
