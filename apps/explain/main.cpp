// clx-explain: draws where a trained model looks.
#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <iostream>

#include "apps/explain/index_page.h"
#include "apps/support/explaining.h"
#include "apps/support/map_archive.h"
#include "apps/support/output_folder.h"
#include "apps/support/picture.h"
#include "apps/support/program.h"
#include "apps/support/progress.h"
#include "apps/support/workload.h"
#include "runtime/io/csv.h"
#include "xai/explain/overlay.h"

namespace clx::app {
namespace {

namespace fs = std::filesystem;

struct Settings {
  ModelOptions model;
  DataOptions data{.limit = 32};
  ExplainOptions explain;
  ComputeOptions compute;
  fs::path output_dir = "explanations";
  int sheet_rows = 16;
  bool save_maps = true, overlays = true;
  bool quiet = false, overwrite = false;
  std::string config_toml;
};

bool is_result(const std::string& name) {
  return name == "predictions.csv" || name == "maps.npz" || name == "contact_sheet.png" ||
         name == "index.html";
}
bool is_overlay(const std::string& name) {
  return name.starts_with("img") && name.ends_with(".png");
}

io::Image picture_of(const Tensor& image) {
  const auto pixels = image.to_host<std::uint8_t>();
  io::Image picture{static_cast<int>(image.dim(1)), static_cast<int>(image.dim(0)), 3, {}};
  const std::int64_t C = image.dim(2);
  for (std::int64_t p = 0; p < image.dim(0) * image.dim(1); ++p)
    for (std::int64_t c = 0; c < 3; ++c)
      picture.pixels.push_back(pixels[static_cast<std::size_t>(p * C + std::min(c, C - 1))]);
  return picture;
}

class Drawing {
 public:
  explicit Drawing(const Settings& s)
      : s_(s),
        device_(start_compute(s.compute)),
        set_(load_data(s.data, data::Split::test)),
        model_(load_model(s.model, set_, device_, s.compute.precision)),
        batches_(set_, device_, *model_),
        explainer_(*model_, s.explain),
        archive_(set_.size()) {}

  int run() {
    check_no_results(s_.output_dir, is_result, s_.overwrite);
    make_output_folder(s_.overlays ? overlays() : s_.output_dir);
    if (s_.overwrite) {
      remove_results(s_.output_dir, is_result);
      remove_results(overlays(), is_overlay);
    }
    io::CsvWriter rows(s_.output_dir / "predictions.csv", {"idx", "true", "pred", "target"});
    Progress progress("explain", set_.size(), {.quiet = s_.quiet});
    for (std::int64_t begin = 0; begin < set_.size(); begin += s_.explain.batch_size) {
      const std::int64_t end = std::min(begin + s_.explain.batch_size, set_.size());
      explain(begin, end, &rows);
      progress.update(end);
      if (!stop_requested()) continue;
      std::cerr << fmt::format("stopped after {} of {} images; only their overlays are written\n", end,
                               set_.size());
      return stop_code();
    }
    progress.finish();
    rows.commit();
    if (!sheet_.empty()) io::write_png(s_.output_dir / "contact_sheet.png", contact_sheet(sheet_));
    if (s_.save_maps) archive_.write(s_.output_dir / "maps.npz", s_.config_toml);
    if (s_.overlays)
      write_index_page(s_.output_dir / "index.html", {model_->description(), set_.name, explainer_.layer()},
                       cards_);
    report();
    return ok;
  }

 private:
  fs::path overlays() const { return s_.output_dir / "overlays"; }

  void explain(std::int64_t begin, std::int64_t end, io::CsvWriter* rows) {
    const std::vector<std::int32_t> labels(set_.labels.begin() + begin, set_.labels.begin() + end);
    const Explained e = explainer_.explain(batches_.images(begin, end), labels, begin);
    for (std::size_t m = 0; m < e.methods.size(); ++m) {
      const MethodMaps& maps = e.methods[m];
      if (s_.save_maps) archive_.add(column_name(s_.explain.methods[m]), maps.maps, maps.raw, maps.opposed);
    }
    if (s_.save_maps) archive_.add_classes(labels, e.predicted, e.target);
    for (std::int64_t i = begin; i < end; ++i) {
      const auto n = static_cast<std::size_t>(i - begin);
      rows->row({i, labels[n], e.predicted[n], e.target[n]});
      if (s_.overlays) draw(i, n, e, labels[n]);
    }
  }

  void draw(std::int64_t index, std::size_t n, const Explained& e, std::int32_t label) {
    const std::int64_t H = set_.height(), W = set_.width();
    const io::Image image =
        picture_of(set_.images.slice(index, index + 1).reshape({H, W, set_.images.dim(3)}));
    const int factor = static_cast<int>(std::max<std::int64_t>(1, 128 / std::max(H, W)));
    std::vector<io::Image> row{enlarge(image, factor)};
    Card card{index, class_name(label), class_name(e.predicted[n]), class_name(e.target[n]), {}};
    const std::string plain = fmt::format("img{:04}.png", index);
    io::write_png(overlays() / plain, row.back());
    card.pictures.push_back({"image", "overlays/" + plain});
    for (std::size_t m = 0; m < e.methods.size(); ++m) {
      const auto at = static_cast<std::int64_t>(n);
      const std::vector<float> map = e.methods[m].maps.slice(at, at + 1).to_host();
      const std::string method = column_name(s_.explain.methods[m]);
      io::Image over = image;
      over.pixels = xai::overlay(image.pixels, map);
      row.push_back(enlarge(over, factor));
      const std::string name = fmt::format("img{:04}_{}_{}.png", index, class_name(e.target[n]), method);
      io::write_png(overlays() / name, row.back());
      const bool nothing = std::ranges::all_of(map, [](float v) { return v == 0; });
      card.pictures.push_back({nothing ? method + ": no explanation" : method, "overlays/" + name});
    }
    cards_.push_back(std::move(card));
    if (static_cast<int>(sheet_.size()) < s_.sheet_rows) sheet_.push_back(std::move(row));
  }

  std::string class_name(std::int32_t c) const {
    return set_.class_names.empty() ? std::to_string(c) : set_.class_names[static_cast<std::size_t>(c)];
  }

  void report() const {
    std::string columns = "image";
    for (const std::string& method : s_.explain.methods)
      columns += ", " + column_name(method);
    std::cout << fmt::format("{} images explained\n", set_.size());
    if (s_.overlays)
      std::cout << fmt::format("  {}  (columns: {})\n  {}\n  {}\n",
                               (s_.output_dir / "contact_sheet.png").string(), columns,
                               (s_.output_dir / "index.html").string(), overlays().string());
    if (s_.save_maps) std::cout << fmt::format("  {}\n", (s_.output_dir / "maps.npz").string());
  }

  const Settings& s_;
  Device device_;
  data::Dataset set_;
  std::unique_ptr<nn::Model> model_;
  Batches batches_;
  Explainer explainer_;
  MapArchive archive_;
  std::vector<std::vector<io::Image>> sheet_;
  std::vector<Card> cards_;
};

int main_of_explain(int argc, char** argv) {
  Settings s;
  Options options("clx-explain",
                  "Explains a trained model's decisions: overlays, a contact sheet and the maps.");
  options.group("Output");
  options.add("output-dir", &s.output_dir, "folder for pictures and maps");
  options.add("sheet-rows", &s.sheet_rows, "images on the contact sheet").range(1, 1000);
  options.add("save-maps", &s.save_maps, "write maps.npz: maps, raw maps, flags, classes");
  options.add("overlays", &s.overlays, "draw the maps over the images");
  options.add("overwrite", &s.overwrite, "replace what the folder holds");
  options.add("quiet", &s.quiet, "no progress");
  add_model_options(options, &s.model);
  add_data_options(options, &s.data);
  add_explain_options(options, &s.explain);
  add_compute_options(options, &s.compute);
  add_graph_option(options, &s.explain.graph, "the work on a batch of images");
  inherit_data_of_run(options);
  if (const auto code = options.parse(argc, argv)) return *code;
  s.config_toml = options.to_toml();
  handle_stop_signals();
  return Drawing(s).run();
}

}  // namespace
}  // namespace clx::app

int main(int argc, char** argv) {
  return clx::app::run_program(argc, argv, clx::app::main_of_explain);
}
