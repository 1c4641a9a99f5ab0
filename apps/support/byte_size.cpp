#include "apps/support/byte_size.h"

#include <cmath>
#include <string_view>

#include "apps/support/exit_code.h"
#include "apps/support/option_value.h"

namespace clx::app {

std::int64_t parse_byte_size(const std::string& text) {
  constexpr std::string_view kUnits = "KMGT";
  std::string number = text;
  double factor = 1;
  if (number.ends_with('B')) number.pop_back();
  if (const auto unit = number.empty() ? std::string_view::npos : kUnits.find(number.back());
      unit != std::string_view::npos) {
    factor = std::ldexp(1.0, 10 * (static_cast<int>(unit) + 1));
    number.pop_back();
  }
  double value = 0;
  try {
    parse_value(number, &value);
  } catch (const UsageError&) {
    value = 0;
  }
  if (!(value * factor >= 1) || value * factor > 1e18)
    throw UsageError(concat("expected an amount of memory as 2G, 512M or 64K, got ", text));
  return static_cast<std::int64_t>(value * factor);
}

}  // namespace clx::app
