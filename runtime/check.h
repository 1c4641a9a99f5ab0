// The one error type and the one check of the project.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace clx {

/// Something the user can mend: a wrong shape, a bad file, an impossible option. The text reads
/// `where: expected …, got …`.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Bad input data: a missing, truncated, hostile or inconsistent file. Programs exit with 3.
class DataError : public Error {
 public:
  using Error::Error;
};

template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  return text.str();
}

}  // namespace clx

/// Throws clx::Error with the concatenated parts unless `condition` holds. For public boundaries; the
/// parts begin with the name of the user's concept: CLX_CHECK(c == C, "conv2d: expected C=", C, …).
#define CLX_CHECK(condition, ...)                                     \
  do {                                                                \
    if (!(condition)) throw ::clx::Error(::clx::concat(__VA_ARGS__)); \
  } while (0)

/// The same for what a file contains.
#define CLX_CHECK_DATA(condition, ...)                                    \
  do {                                                                    \
    if (!(condition)) throw ::clx::DataError(::clx::concat(__VA_ARGS__)); \
  } while (0)
