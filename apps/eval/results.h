// The folder of an evaluation's results.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "apps/eval/scores.h"
#include "apps/support/map_archive.h"
#include "apps/support/options.h"

namespace clx::app {

/// Whether clx-eval writes files of this name.
bool is_evaluation_result(const std::string& name);

/// Option values as JSON: {"pf-class": "target", …}.
nlohmann::ordered_json to_json(const Options::Values& values);

/// The scores after each step of pixel flipping, method by method.
class Curves {
 public:
  void add_p0(const std::vector<double>& p0) { p0_.insert(p0_.end(), p0.begin(), p0.end()); }
  void add(const std::string& method, const std::vector<double>& curves);
  bool empty() const { return curves_.empty(); }
  /// {method}: (N,S) f32, p0: (N) f32, config: `config` as bytes. Throws Error if it cannot be written.
  void write(const std::filesystem::path& file, const std::string& config) const;

 private:
  std::vector<float> p0_;
  std::map<std::string, std::vector<float>> curves_;
};

}  // namespace clx::app
