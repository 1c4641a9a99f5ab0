// The folder that a program writes its results to.
#pragma once

#include <filesystem>

namespace clx::app {

/// Creates `path` and the folders above it, and proves that files can be made in it.
/// Throws    Error naming the folder if that fails; everything is then as it was
void make_output_folder(const std::filesystem::path& path);

}  // namespace clx::app
