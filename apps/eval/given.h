// What an evaluation takes from files instead of making it: maps of any tool, noise.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "nn/data/dataset.h"

namespace clx::app {

/// Maps of one method.
struct GivenMaps {
  std::string method;  // the array's name
  Tensor maps;         // (N,H,W) f32
};

/// The maps in a .npz (one method per array) or .npy file (the file's name is the method). Of a file of
/// clx-explain --save-maps or clx-eval --save-maps the raw maps, flags and predictions are passed over, and
/// its indices and labels must be those of the set.
///
/// Throws    DataError naming file and array if an array is not (N,H,W) with the images of `set`, holds NaN
/// or
///           infinity, or its name cannot be a column's; if there is none; if the file is damaged
std::vector<GivenMaps> read_given_maps(const std::filesystem::path& file, const data::Dataset& set);

/// Noise for every image, as (N,H,W,C), from a .npy file of that shape or of (N,C,H,W).
///
/// Throws    DataError naming the file if it has another shape, is not finite, or is damaged
Tensor read_given_noise(const std::filesystem::path& file, const data::Dataset& set);

}  // namespace clx::app
