// HTML pages that need nothing but themselves.
#pragma once

#include <string>

namespace clx::app {

/// Text with what HTML would take for markup escaped.
std::string html_text(const std::string& text);

/// A path as a link: bytes beyond letters, digits and /._- as %XX.
std::string html_link(const std::string& path);

/// A page in UTF-8 with a title, which is its heading as well. `style` is added to the common one.
std::string html_page(const std::string& title, const std::string& style, const std::string& body);

}  // namespace clx::app
