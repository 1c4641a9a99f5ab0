#include "apps/eval/protocol.h"

#include <fmt/format.h>

namespace clx::app {
namespace {

struct Flag {
  const char *name, *paper, *reference;
};

// Where the two agree the flag is here as well: a protocol leaves nothing to the defaults.
constexpr Flag kFlags[] = {
    {"target", "predicted", "predicted"},
    {"eigen-sign", "mean-corr", "lapack"},
    {"aug-smooth", "false", "false"},
    // The code tracks the true label while it explains the predicted class.
    {"pf-class", "target", "true"},
    {"pf-mode", "pixel", "pixel"},
    {"pf-baseline", "image-min", "image-min"},
    {"pf-auc", "without-p0", "without-p0"},
    {"noise-sigma", "0.02", "0.02"},
    // The code clamps normalised images to [0,1], which changes two values of three.
    {"continuity-clamp", "none", "reference"},
    {"contrast-class", "random", "random"},
    {"zero-ssim", "skip", "keep"},
    {"zero-coherence", "skip", "spike"},
    {"coherence-target", "target", "true"},
    {"coherence-aug-smooth", "false", "true"},
    {"mask-mode", "clean", "reference"},
    {"probe-input", "fitted", "reference"},
    {"filter", "all", "correct"},
    {"coherence-filter", "all", "all"},
};

}  // namespace

Options::Values protocol_values(const std::string& protocol) {
  Options::Values values;
  for (const Flag& flag : kFlags)
    values.emplace_back(flag.name, protocol == "reference" ? flag.reference : flag.paper);
  return values;
}

std::string protocol_help() {
  std::string differing;
  for (const Flag& flag : kFlags)
    if (std::string(flag.paper) != flag.reference)
      differing += fmt::format("{}--{} {}", differing.empty() ? "" : ", ", flag.name, flag.reference);
  return "paper: by the paper's text; reference: as the code published with it, which is " + differing;
}

}  // namespace clx::app
