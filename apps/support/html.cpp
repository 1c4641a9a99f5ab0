#include "apps/support/html.h"

#include <fmt/format.h>
#include <string_view>

namespace clx::app {

std::string html_text(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '&')
      escaped += "&amp;";
    else if (c == '<')
      escaped += "&lt;";
    else if (c == '>')
      escaped += "&gt;";
    else if (c == '"')
      escaped += "&quot;";
    else
      escaped += c;
  }
  return escaped;
}

std::string html_link(const std::string& path) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-";
  std::string link;
  for (const char c : path)
    link += kPlain.find(c) != std::string_view::npos
                ? std::string(1, c)
                : fmt::format("%{:02X}", static_cast<unsigned>(static_cast<unsigned char>(c)));
  return link;
}

std::string html_page(const std::string& title, const std::string& style, const std::string& body) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{0}</title>\n<style>"
      "body{{font-family:sans-serif;margin:2em auto;max-width:75em;padding:0 "
      "1em}}h2{{font-size:1em}}{1}</style>\n"
      "<h1>{0}</h1>\n{2}</html>\n",
      html_text(title), style, body);
}

}  // namespace clx::app
