// Amounts of memory as people write them.
#pragma once

#include <cstdint>
#include <string>

namespace clx::app {

/// "2G", "512M", "64K", "1.5G" or plain bytes; factors of 1024. Throws UsageError for anything else.
std::int64_t parse_byte_size(const std::string& text);

}  // namespace clx::app
