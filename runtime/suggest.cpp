#include "runtime/suggest.h"

#include <algorithm>

namespace clx {

int edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<int>> d(a.size() + 1, std::vector<int>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) {
    for (std::size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        d[i][j] = static_cast<int>(i + j);
        continue;
      }
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

std::string closest(std::string_view name, const std::vector<std::string>& candidates) {
  std::string best;
  int best_distance = 1 << 20;
  for (const std::string& candidate : candidates) {
    const int distance = edit_distance(name, candidate);
    if (distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  const int allowed = std::max(1, static_cast<int>(std::max(name.size(), best.size())) / 3);
  if (!best.empty() && best_distance <= allowed) return best;
  for (const std::string& candidate : candidates) {
    if (name.size() >= 2 && candidate.starts_with(name)) return candidate;
  }
  return "";
}

std::string did_you_mean(std::string_view name,
                         const std::vector<std::string>& candidates,
                         std::string_view prefix) {
  const std::string near = closest(name, candidates);
  return near.empty() ? "" : "; did you mean " + std::string(prefix) + near + "?";
}

}  // namespace clx
