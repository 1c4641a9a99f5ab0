#include "tests/stand_in/gpu.h"

#include <cstdio>
#include <cstdlib>
#include <exception>

namespace clx::stand_in {
namespace {

template <class T>
T from_environment(const char* name, T otherwise) {
  const char* const text = std::getenv(name);
  return text ? static_cast<T>(std::strtoull(text, nullptr, 10)) : otherwise;
}

}  // namespace

const Settings& settings() {
  static const Settings chosen = [] {
    Settings s;
    s.gpus = from_environment("CLX_STAND_IN_GPUS", s.gpus);
    s.capability = from_environment("CLX_STAND_IN_CAPABILITY", s.capability);
    s.memory = from_environment("CLX_STAND_IN_MEMORY", s.memory);
    if (const char* const log = std::getenv("CLX_STAND_IN_LOG")) {
      s.log = std::fopen(log, "w");
      if (!s.log) {  // not the hours that it would take to execute it all
        std::fprintf(stderr, "stand-in for a GPU: cannot write %s\n", log);
        std::_Exit(1);
      }
      std::atexit([] { std::fprintf(settings().log, "most memory\t%zu\n", Gpus::all().most_used); });
    }
    return s;
  }();
  return chosen;
}

// Never destroyed: the program's last tensors are freed after everything else.
Gpus& Gpus::all() {
  static auto& gpus = *new Gpus;
  return gpus;
}

const Gpus::Allocation* Gpus::allocation_of(const void* p) const {
  const auto address = reinterpret_cast<std::uintptr_t>(p);
  auto found = allocations.upper_bound(address);
  if (found == allocations.begin()) return nullptr;
  --found;
  return address < found->first + found->second.bytes ? &found->second : nullptr;
}

int& current_device() {
  thread_local int device = 0;
  return device;
}

void refuse(cudaError_t code, const std::string& why) {
  std::fprintf(stderr, "stand-in for a GPU: %s\n", why.c_str());
  throw code;
}

void enqueue(Stream& stream, Work work) {
  if (settings().log) return;
  if (stream.capture) {
    stream.capture->nodes.push_back(std::move(work));
    return;
  }
  stream.queue.push_back(std::move(work));
  ++stream.queued;
}

void run_until(Stream& stream, std::uint64_t target) {
  for (; stream.done < target; ++stream.done) {
    const Work work = std::move(stream.queue.front());
    stream.queue.pop_front();
    try {
      work();
    } catch (const std::exception& error) {
      Gpus::all().failed = cudaErrorIllegalAddress;
      refuse(cudaErrorIllegalAddress, error.what());
    }
  }
}

void require_no_strict_capture(const char* what) {
  for (Stream* stream : Gpus::all().streams) {
    if (!stream->capture) continue;
    const bool concerned = stream->mode == cudaStreamCaptureModeGlobal ||
                           (stream->mode == cudaStreamCaptureModeThreadLocal &&
                            stream->capturing_thread == std::this_thread::get_id());
    if (concerned)
      refuse(cudaErrorStreamCaptureUnsupported, std::string(what) + " while a stream captures strictly");
  }
}

}  // namespace clx::stand_in
