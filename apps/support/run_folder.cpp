#include "apps/support/run_folder.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fstream>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "apps/support/output_folder.h"
#include "apps/support/version.h"
#include "runtime/check.h"
#include "runtime/io/file.h"

namespace clx::app {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

namespace {

void write_whole(const fs::path& file, const std::string& text) {
  io::write_file(file, text.data(), text.size());
}

std::string read_whole(const fs::path& file) {
  const std::vector<std::uint8_t> bytes = io::read_file(file);
  return {bytes.begin(), bytes.end()};
}

bool holds_run(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path / "metrics.jsonl", ignored) ||
         fs::exists(path / "checkpoints" / "last.safetensors", ignored);
}

void remove_if(const fs::path& folder, bool (*unwanted)(const fs::path&)) {
  if (!fs::is_directory(folder)) return;
  std::vector<fs::path> old;
  for (const auto& entry : fs::directory_iterator(folder))
    if (unwanted(entry.path().filename())) old.push_back(entry.path());
  for (const fs::path& file : old)
    fs::remove(file);
}

void remove_run(const fs::path& path) {
  fs::remove(path / "metrics.jsonl");
  fs::remove(path / "timings.jsonl");
  remove_if(path / "checkpoints", [](const fs::path& name) {
    return name.extension() == ".safetensors" || name.extension() == ".json";
  });
}

// What AtomicFile leaves behind if the program is killed, be it before the run has its first file.
void remove_unfinished_files(const fs::path& path) {
  for (const fs::path& folder : {path, path / "checkpoints"})
    remove_if(folder, [](const fs::path& name) {
      return name.string().starts_with('.') && name.extension() == ".tmp";
    });
}

void append_line(const fs::path& path, const ordered_json& line) {
  const std::string text = line.dump() + "\n";
  const int file = open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  CLX_CHECK(file >= 0, path.string(), ": cannot be opened: ", std::strerror(errno));
  const auto before = lseek(file, 0, SEEK_END);
  const auto written = write(file, text.data(), text.size());
  const int reason = written < 0 ? errno : ENOSPC;
  if (written >= 0 && static_cast<std::size_t>(written) < text.size()) {
    [[maybe_unused]] const int cut = ftruncate(file, before);
  }
  close(file);
  CLX_CHECK(written == static_cast<ssize_t>(text.size()), path.string(),
            ": cannot be written: ", std::strerror(reason));
}

ordered_json describe(const RunEnvironment& environment) {
  const auto now = std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now());
  return {{"version", version()},
          {"build", build_description()},
          {"cpu", cpu_model()},
          {"device", environment.device},
          {"threads", environment.threads},
          {"started", fmt::format("{:%FT%TZ}", fmt::gmtime(now))},
          {"command", environment.command}};
}

}  // namespace

RunFolder::RunFolder(const fs::path& output,
                     std::uint64_t seed,
                     const std::string& config_toml,
                     const RunEnvironment& environment,
                     IfRunExists if_exists)
    : path_(seed_folder(output, seed)) {
  const bool resumed = if_exists == IfRunExists::resume;
  const bool exists = resumed ? fs::exists(path_ / "config.toml") : holds_run(path_);
  CLX_CHECK(!exists || if_exists != IfRunExists::refuse, "output folder ", path_.string(),
            ": holds a run already; --overwrite starts anew, another --output-dir keeps it");
  CLX_CHECK(exists || !resumed, "output folder ", path_.string(), ": no run to resume");
  make_output_folder(checkpoints());
  make_output_folder(path_);

  ordered_json env = describe(environment);
  if (if_exists == IfRunExists::overwrite) remove_run(path_);
  remove_unfinished_files(path_);
  if (resumed) {
    std::error_code ignored;
    ordered_json earlier = ordered_json::array();
    if (fs::exists(path_ / "env.json", ignored)) {
      ordered_json last = ordered_json::parse(read_whole(path_ / "env.json"), nullptr, false);
      if (last.is_object()) {
        if (last.contains("earlier")) earlier = last["earlier"];
        last.erase("earlier");
        earlier.push_back(last);
      }
    }
    env["earlier"] = earlier;
  } else {
    write_whole(path_ / "config.toml", config_toml);
  }
  write_whole(path_ / "env.json", env.dump(2) + "\n");
}

fs::path RunFolder::checkpoint(const std::string& name) const {
  return checkpoints() / (name + ".safetensors");
}

void RunFolder::append_metrics(const ordered_json& line) const {
  append_line(metrics(), line);
}

void RunFolder::append_timings(const ordered_json& line) const {
  append_line(timings(), line);
}

void RunFolder::keep_metrics_until(std::int64_t epoch) const {
  std::error_code ignored;
  if (!fs::exists(metrics(), ignored)) return;
  std::string kept;
  std::size_t number = 0;
  for (const ordered_json& line : read_metrics(metrics())) {
    ++number;
    CLX_CHECK_DATA(line.contains("epoch") && line["epoch"].is_number(), metrics().string(), ":", number,
                   ": expected a JSON object with an epoch, got ", line.dump().substr(0, 80));
    if (line["epoch"].get<double>() <= static_cast<double>(epoch)) kept += line.dump() + "\n";
  }
  write_whole(metrics(), kept);
}

fs::path seed_folder(const fs::path& output, std::uint64_t seed) {
  return output / fmt::format("seed{}", seed);
}

std::vector<ordered_json> read_metrics(const fs::path& file) {
  std::error_code ignored;
  std::vector<ordered_json> lines;
  if (!fs::exists(file, ignored)) return lines;
  const std::string text = read_whole(file);
  std::size_t begin = 0;
  for (std::size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n', begin)) {
    const std::string line = text.substr(begin, end - begin);
    lines.push_back(ordered_json::parse(line, nullptr, false));
    CLX_CHECK_DATA(lines.back().is_object(), file.string(), ":", lines.size(),
                   ": expected a JSON object with an epoch, got ", line.substr(0, 80));
    begin = end + 1;
  }
  return lines;
}

fs::path find_run(const fs::path& path) {
  std::error_code ignored;
  if (fs::exists(path / "config.toml", ignored)) return path;
  std::vector<std::string> seeds;
  if (fs::is_directory(path, ignored)) {
    for (const auto& entry : fs::directory_iterator(path)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with("seed") && fs::exists(entry.path() / "config.toml", ignored))
        seeds.push_back(name);
    }
  }
  std::ranges::sort(seeds);
  CLX_CHECK_DATA(!seeds.empty(), "run folder ", path.string(),
                 ": expected a config.toml in it or in a seed<k> of it, got none");
  CLX_CHECK(seeds.size() == 1, "run folder ", path.string(), ": expected one seed, got ",
            fmt::format("{}", fmt::join(seeds, ", ")), "; name one of them");
  return path / seeds[0];
}

std::string cpu_model() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

}  // namespace clx::app
