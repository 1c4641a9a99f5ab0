#include "runtime/graph.h"

#include <algorithm>
#include <exception>
#include <iostream>
#include <utility>

#include "kernels/recording.h"
#include "runtime/allocator.h"
#include "runtime/capture.h"
#include "runtime/check.h"
#include "runtime/dispatch.h"

namespace clx {
namespace {

thread_local Capture* t_capture = nullptr;

// Calls f with the tag of a device that records; a CPU does not.
template <class F>
void on_recorder(Device device, F&& f) {
  on(device, [&](const auto& backend) {
    if constexpr (!std::is_same_v<std::decay_t<decltype(backend)>, Cpu>) f(backend);
  });
}

}  // namespace

Capture* current_capture() {
  return t_capture;
}

Capture* current_capture(Device device) {
  return t_capture && t_capture->device == device ? t_capture : nullptr;
}

struct Graph::State {
  explicit State(Device device_) : device(device_), pool(make_memory_pool(device_, PoolOf::graph)) {}
  ~State() {
    recording.reset();
    scratch.reset();
    end_memory_pool(device, pool);
  }

  Device device;
  std::uint64_t pool;
  std::unique_ptr<Workspace> scratch;
  std::unique_ptr<kernels::Recording> recording;
  std::vector<std::weak_ptr<Storage>> written;
  std::vector<std::function<void()>> on_host;
  std::function<void()> work;  // on a CPU
};

Graph::Graph(Device device) : state_(std::make_unique<State>(device)) {}
Graph::~Graph() = default;

bool Graph::captured() const {
  return state_->recording || state_->work;
}

void Graph::capture(std::function<void()> work) {
  State& s = *state_;
  CLX_CHECK(!t_capture, "graph: expected one capture at a time, got one within another");
  CLX_CHECK(!captured(), "graph: expected to capture once, got a second time");
  if (s.device.kind == DeviceKind::cpu) {
    s.work = std::move(work);
    return;
  }
  s.scratch =
      std::make_unique<Workspace>([&s](std::size_t bytes) { return allocate_memory(s.device, bytes); },
                                  [&s](void* p) { release_memory(s.device, p); });
  Capture capture{s.device, s.pool, s.scratch.get(), {}, {}};
  on_recorder(s.device, [](const auto& backend) { kernels::begin_recording(backend); });
  t_capture = &capture;
  std::exception_ptr failed;
  try {
    work();
  } catch (...) {
    failed = std::current_exception();
  }
  try {
    on_recorder(s.device, [&](const auto& backend) { s.recording = kernels::end_recording(backend); });
  } catch (...) {
    if (!failed) failed = std::current_exception();
  }
  t_capture = nullptr;
  if (failed) {
    s.recording.reset();
    std::rethrow_exception(failed);
  }
  s.written = std::move(capture.written);
  std::erase_if(s.written, [](const auto& storage) { return storage.expired(); });
  s.on_host = std::move(capture.on_host);
}

void Graph::replay() {
  State& s = *state_;
  CLX_CHECK(captured(), "graph: expected a capture before the replay");
  CLX_CHECK(!t_capture, "graph: expected no replay during a capture");
  if (s.work) return s.work();
  on_recorder(s.device, [&](const auto& backend) { kernels::repeat(backend, *s.recording); });
  for (const auto& weak : s.written)
    if (const auto storage = weak.lock()) mark_written(*storage);
  for (const auto& f : s.on_host)
    f();
}

void each_time(const std::function<void()>& f) {
  if (t_capture)
    t_capture->on_host.push_back(f);
  else
    f();
}

Replayed::Replayed(Device device, GraphMode mode, Function function)
    : device_(device), mode_(mode), function_(std::move(function)) {
  const bool captures =
      mode == GraphMode::automatic ? device.kind == DeviceKind::cuda : mode == GraphMode::on;
  if (captures && device.kind != DeviceKind::cpu) graph_ = std::make_unique<Graph>(device);
}

const std::vector<Tensor>& Replayed::operator()(const std::vector<Tensor>& inputs) {
  const auto shaped = [&](const std::vector<Tensor>& as) {
    return std::ranges::equal(inputs, as, {}, &Tensor::shape, &Tensor::shape);
  };
  if (captured() && shaped(fixed_)) {
    for (std::size_t i = 0; i < inputs.size(); ++i)
      fixed_[i].assign(inputs[i]);
    graph_->replay();
    return captured_results_;
  }
  std::vector<Shape> shapes;
  for (const Tensor& input : inputs)
    shapes.push_back(input.shape());
  const bool again = std::exchange(last_, shapes) == shapes;
  if (graph_ && !graph_->captured() && again && capture(inputs)) {
    graph_->replay();
    return captured_results_;
  }
  return results_ = function_(inputs);
}

std::vector<Tensor> Replayed::keep(const std::vector<Tensor>& inputs) {
  const std::vector<Tensor>& results = (*this)(inputs);
  const bool overwritten = &results == &captured_results_;
  std::vector<Tensor> kept;
  for (const Tensor& result : results)
    kept.push_back(overwritten ? result.clone() : result.detach());
  return kept;
}

bool Replayed::capture(const std::vector<Tensor>& inputs) {
  fixed_.clear();
  for (const Tensor& input : inputs)
    fixed_.push_back(input.clone());
  try {
    graph_->capture([this] { captured_results_ = function_(fixed_); });
    return true;
  } catch (const std::exception& error) {
    if (mode_ == GraphMode::on) throw;
    std::cerr << concat("note: this work is not captured as a graph (", error.what(),
                        "); it goes on launch by launch\n");
  }
  graph_.reset();
  fixed_.clear();
  captured_results_.clear();
  return false;
}

}  // namespace clx
