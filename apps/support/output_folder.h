// The folder that a program writes its results to.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

namespace clx::app {

/// Creates `path` and the folders above it, and proves that files can be made in it.
/// Throws    Error naming the folder if that fails; everything is then as it was
void make_output_folder(const std::filesystem::path& path);

/// Whether a file of this name in the folder is a result of the program.
using IsResult = std::function<bool(const std::string& name)>;

/// Throws    Error naming the folder if it holds results already and `overwrite` is false
void check_no_results(const std::filesystem::path& path, const IsResult& is_result, bool overwrite);

/// Removes the results of an earlier run, so that none of them stays beside the new ones.
void remove_results(const std::filesystem::path& path, const IsResult& is_result);

}  // namespace clx::app
