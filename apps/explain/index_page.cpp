#include "apps/explain/index_page.h"

#include <fmt/format.h>

#include "apps/support/html.h"
#include "runtime/io/file.h"

namespace clx::app {
namespace {

constexpr const char* kStyle =
    "figure{display:inline-block;margin:0 .5em .5em 0}figcaption{font-size:.8em;color:#555}"
    "img{display:block;min-width:128px;image-rendering:pixelated}.wrong{color:#b00}";

std::string section(const Card& card) {
  const bool right = card.label == card.predicted;
  std::string html = fmt::format("<h2>{}: {}, <span{}>predicted {}</span>, explained {}</h2>\n", card.index,
                                 html_text(card.label), right ? "" : " class=\"wrong\"",
                                 html_text(card.predicted), html_text(card.target));
  for (const Picture& picture : card.pictures)
    html += fmt::format(
        "<figure><img src=\"{}\" alt=\"\" loading=\"lazy\"><figcaption>{}</figcaption></figure>\n",
        html_link(picture.file), html_text(picture.caption));
  return html;
}

}  // namespace

void write_index_page(const std::filesystem::path& file,
                      const PageHead& head,
                      const std::vector<Card>& cards) {
  std::string body = fmt::format("<p>{} images of {}, layer {}</p>\n", cards.size(), html_text(head.dataset),
                                 html_text(head.layer));
  for (const Card& card : cards)
    body += section(card);
  const std::string page = html_page("Explanations of " + head.model, kStyle, body);
  io::write_file(file, page.data(), page.size());
}

}  // namespace clx::app
