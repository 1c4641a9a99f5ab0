// The two ways to evaluate: by the paper's text, and as the published code does.
#pragma once

#include <string>

#include "apps/support/options.h"

namespace clx::app {

/// The flags that the protocol "paper" or "reference" brings. Paper: what the text says, and sound practice
/// where it is silent. Reference: the code published with the paper, quirks included. A flag on the command
/// line or in the config file wins.
Options::Values protocol_values(const std::string& protocol);

/// What --help says of them.
std::string protocol_help();

}  // namespace clx::app
