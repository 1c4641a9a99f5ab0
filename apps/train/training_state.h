// What a run needs to go on as if it had not been interrupted.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "nn/data/dataset.h"
#include "nn/models/model.h"
#include "nn/optim/optimizer.h"
#include "runtime/step.h"

namespace clx::app {

/// Where a run is.
struct Position {
  int epoch = 0;              // under way, or about to begin; after the last one it is their number
  std::int64_t batch = 0;     // the next one of it
  double best = 0;            // the best epoch's score so far; without meaning before the first
  bool any_best = false;      // there was one
  std::int64_t replaced = 0;  // images of this epoch in whose place others were shown
};

/// What a state belongs to. A state of another run is refused.
struct RunIdentity {
  std::string model, optimizer, data;
  std::uint64_t seed = 0;
};

/// The identity of a data set: how many images of which classes, and a checksum of the labels.
std::string identity_of(const data::Dataset& train);

/// Writes weights, statistics, the optimizer's state, step and sums, and the position to one file, with a
/// checksum: whoever is killed while writing has the earlier file, whole.
/// Throws    Error if it cannot be written
void save_state(const std::filesystem::path& file,
                nn::Model& model,
                const nn::Optimizer& optimizer,
                const Step& step,
                const Position& position,
                const RunIdentity& identity);

/// A file of save_state. Throws DataError if it is missing, damaged or none.
class SavedState {
 public:
  explicit SavedState(const std::filesystem::path& file);

  const Position& position() const { return position_; }

  /// Throws DataError saying what differs if the state is of another model, optimizer, data set or seed.
  void require(const RunIdentity& identity) const;

  /// Replaces the model's weights and statistics. Notes: make the optimizer afterwards.
  void restore(nn::Model& model) const;
  void restore(nn::Optimizer& optimizer) const;
  void restore(Step& step) const;

 private:
  std::map<std::string, Tensor> part(const std::string& prefix) const;

  std::filesystem::path file_;
  std::map<std::string, Tensor> tensors_;
  Position position_;
  RunIdentity identity_;
};

}  // namespace clx::app
