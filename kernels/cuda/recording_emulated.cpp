// Recordings of the emulated device: the launches themselves, with their arguments.
#include <stdexcept>
#include <vector>

#include "kernels/cuda/emulator/notes.h"
#include "kernels/recording.h"

namespace clx {
namespace {

class EmulatedRecording final : public kernels::Recording {
 public:
  std::vector<std::function<void()>> work;
};

thread_local std::unique_ptr<EmulatedRecording> t_recording;

}  // namespace

namespace emulator {

bool recording() {
  return t_recording != nullptr;
}

void note(std::function<void()> work) {
  t_recording->work.push_back(std::move(work));
}

}  // namespace emulator

namespace kernels {

void begin_recording(const Emulated&) {
  if (t_recording) throw std::logic_error("recording: has begun already");
  t_recording = std::make_unique<EmulatedRecording>();
}

std::unique_ptr<Recording> end_recording(const Emulated&) {
  return std::move(t_recording);
}

void repeat(const Emulated&, Recording& recording) {
  for (const auto& work : static_cast<EmulatedRecording&>(recording).work)
    work();
}

}  // namespace kernels
}  // namespace clx
