// A device's work, captured once and replayed: a training step costs the host one launch instead of hundreds.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "runtime/tensor.h"

namespace clx {

/// What a function asks its device to do, to be done again and again.
///
/// Notes     The captured work reads and writes the memory that it was given: tensors from outside must
///           outlive the graph and keep their contents' addresses (parameters are written in place, inputs by
///           Tensor::assign). Tensors made inside belong to the graph; those that the function keeps hold the
///           results of the last replay. What varies (learning rate, step) is read from device memory.
///           On a CUDA GPU this is a CUDA graph; the emulator notes its launches; on a CPU replay() calls the
///           function again.
class Graph {
 public:
  explicit Graph(Device device);
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  /// Calls `work` and notes what it asks the device to do, without doing it. Whatever is made at the first
  /// call alone (an optimizer's buffers, folded filters) has to be there: call `work` once before.
  /// Throws    Error if this thread captures already or `work` waits for the device (to_host, item) or reads
  ///           the host's memory (from_host); what `work` throws. Nothing is captured then.
  void capture(std::function<void()> work);
  bool captured() const;

  /// Queues the captured work. Counts as a write to all that it writes.
  /// Throws    Error if nothing was captured or this thread captures
  void replay();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Calls f now; under capture, at each replay instead. For what the host counts along with the device.
void each_time(const std::function<void()>& f);

/// Whether a program's repeated work is captured: automatic, where it saves time (CUDA) and, if it proves
/// impossible, not, which is noted on stderr; on, or it is an error.
enum class GraphMode { automatic, on, off };

/// Calls a function of tensors over and over, most of the time by a graph: a call with inputs of new shapes
/// runs it, the next such call captures it, and from then on calls with these shapes copy their inputs to
/// where the captured work reads them, and replay. Calls with other shapes run it.
class Replayed {
 public:
  using Function = std::function<std::vector<Tensor>(const std::vector<Tensor>& inputs)>;

  Replayed(Device device, GraphMode mode, Function function);

  /// The function's result. The next call may overwrite it.
  /// Throws    what Graph::capture does, in mode on
  const std::vector<Tensor>& operator()(const std::vector<Tensor>& inputs);

  /// The same in tensors that no later call overwrites, without history.
  std::vector<Tensor> keep(const std::vector<Tensor>& inputs);

  /// Whether calls are replayed.
  bool captured() const { return graph_ && graph_->captured(); }

 private:
  bool capture(const std::vector<Tensor>& inputs);

  Device device_;
  GraphMode mode_;
  Function function_;
  std::vector<Shape> last_;    // shapes of the last call
  std::vector<Tensor> fixed_;  // what the captured work reads
  std::vector<Tensor> results_, captured_results_;
  std::unique_ptr<Graph> graph_;  // none where work is not captured
};

}  // namespace clx
