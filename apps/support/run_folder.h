// The folder a training run writes: config.toml, env.json, metrics.jsonl, timings.jsonl, checkpoints/.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace clx::app {

/// What to do with a folder that already holds a run.
enum class IfRunExists { refuse, overwrite, resume };

/// What env.json says beside version, compiler and CPU.
struct RunEnvironment {
  std::string device;  // "cpu", "cuda:0 (name)"
  int threads = 1;
  std::vector<std::string> command;  // argv
};

/// `<output>/seed<k>/` with its files. Whole files are written under a temporary name, synced and renamed;
/// metrics.jsonl grows by one line per write(2), so a killed run leaves whole lines.
class RunFolder {
 public:
  /// Creates what is missing and writes config.toml and env.json. With `overwrite`, the metrics and
  /// checkpoints of the earlier run are removed. With `resume`, config.toml is kept and env.json keeps
  /// the earlier starts. Both remove what a killed run was about to write.
  /// Throws    Error naming the folder if it cannot be written (nothing is left behind), if it holds a run
  ///           and `refuse` was asked, or holds none and `resume` was
  RunFolder(const std::filesystem::path& output,
            std::uint64_t seed,
            const std::string& config_toml,
            const RunEnvironment& environment,
            IfRunExists if_exists = IfRunExists::refuse);

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path checkpoints() const { return path_ / "checkpoints"; }
  std::filesystem::path checkpoint(const std::string& name) const;  // "last" → checkpoints/last.safetensors
  std::filesystem::path metrics() const { return path_ / "metrics.jsonl"; }
  std::filesystem::path timings() const { return path_ / "timings.jsonl"; }

  /// Adds one line to metrics.jsonl. Throws Error if it cannot be written whole.
  void append_metrics(const nlohmann::ordered_json& line) const;
  /// The same for timings.jsonl, which has what depends on the machine.
  void append_timings(const nlohmann::ordered_json& line) const;

  /// Keeps the lines whose "epoch" is at most `epoch`: what a checkpoint of that epoch had seen. A last
  /// line that was cut off is dropped. Throws DataError for a line that is no JSON object with an epoch.
  void keep_metrics_until(std::int64_t epoch) const;

 private:
  std::filesystem::path path_;
};

/// The folder of one seed's run: <output>/seed<k>.
std::filesystem::path seed_folder(const std::filesystem::path& output, std::uint64_t seed);

/// The lines of a metrics.jsonl; none if there is no such file. Throws DataError for a line that is no JSON
/// object; a last line that was cut off is left out.
std::vector<nlohmann::ordered_json> read_metrics(const std::filesystem::path& file);

/// The run folder that a user means by `path`: itself if it has a config.toml, else its only seed<k>.
/// Throws DataError if there is none, Error if there are several (it lists them).
std::filesystem::path find_run(const std::filesystem::path& path);

/// The CPU's name as the system tells it, or "unknown".
std::string cpu_model();

}  // namespace clx::app
