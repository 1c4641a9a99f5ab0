// "Did you mean": the known name that a mistyped one is closest to.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace clx {

/// The number of single-character insertions, deletions, replacements and swaps of neighbours that turn
/// `a` into `b` (each place touched once).
int edit_distance(std::string_view a, std::string_view b);

/// The candidate nearest to `name`, or "" if none is near: at most a third of its characters may be
/// wrong, or `name` must be the beginning of it.
std::string closest(std::string_view name, const std::vector<std::string>& candidates);

/// "; did you mean <prefix><closest>?", or "" if none is near.
std::string did_you_mean(std::string_view name,
                         const std::vector<std::string>& candidates,
                         std::string_view prefix = "");

}  // namespace clx
