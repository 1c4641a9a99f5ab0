#include "apps/support/output_folder.h"

#include <fmt/format.h>
#include <string>
#include <vector>

#include "runtime/check.h"
#include "runtime/io/file.h"

namespace clx::app {

namespace fs = std::filesystem;

namespace {

// The folders of `path` that do not exist yet, outermost first.
std::vector<fs::path> missing_folders(fs::path path) {
  std::vector<fs::path> missing;
  std::error_code ignored;
  while (!path.empty() && !fs::exists(path, ignored)) {
    missing.insert(missing.begin(), path);
    path = path.parent_path();
  }
  return missing;
}

std::vector<fs::path> results_in(const fs::path& path, const IsResult& is_result) {
  std::vector<fs::path> results;
  std::error_code ignored;
  if (fs::is_directory(path, ignored))
    for (const auto& entry : fs::directory_iterator(path))
      if (entry.is_regular_file() && is_result(entry.path().filename().string()))
        results.push_back(entry.path());
  return results;
}

}  // namespace

void check_no_results(const fs::path& path, const IsResult& is_result, bool overwrite) {
  const bool found = !overwrite && !results_in(path, is_result).empty();
  CLX_CHECK(!found, "output folder ", path.string(),
            ": holds results already; --overwrite replaces them, another --output-dir keeps them");
}

void remove_results(const fs::path& path, const IsResult& is_result) {
  for (const fs::path& result : results_in(path, is_result))
    fs::remove(result);
}

void make_output_folder(const fs::path& path) {
  std::vector<fs::path> made;
  const auto give_up = [&](const std::string& reason) {
    std::error_code ignored;
    for (auto it = made.rbegin(); it != made.rend(); ++it)
      fs::remove(*it, ignored);
    throw Error(
        fmt::format("output folder {}: not writable: {}; --output-dir names another", path.string(), reason));
  };
  for (const fs::path& folder : missing_folders(path)) {
    std::error_code error;
    fs::create_directory(folder, error);
    if (error) give_up(error.message());
    made.push_back(folder);
  }
  std::error_code error;
  if (!fs::is_directory(path, error)) give_up("it is not a folder");
  try {
    const io::AtomicFile never_committed(path / "writable");
  } catch (const Error& e) {
    give_up(e.what());
  }
}

}  // namespace clx::app
