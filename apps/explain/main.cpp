// clx-explain: draws where a trained model looks.
#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <iostream>
#include <map>

#include "apps/support/explaining.h"
#include "apps/support/output_folder.h"
#include "apps/support/picture.h"
#include "apps/support/program.h"
#include "apps/support/progress.h"
#include "apps/support/workload.h"
#include "runtime/io/csv.h"
#include "runtime/io/npz.h"
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
  bool save_maps = true;
  bool quiet = false;
};

io::Image picture_of(const Tensor& image) {
  const auto pixels = image.to_host<std::uint8_t>();
  io::Image picture{static_cast<int>(image.dim(1)), static_cast<int>(image.dim(0)), 3, {}};
  const std::int64_t C = image.dim(2);
  for (std::int64_t p = 0; p < image.dim(0) * image.dim(1); ++p)
    for (std::int64_t c = 0; c < 3; ++c)
      picture.pixels.push_back(pixels[static_cast<std::size_t>(p * C + std::min(c, C - 1))]);
  return picture;
}

class Explainer {
 public:
  explicit Explainer(const Settings& s)
      : s_(s),
        device_(start_compute(s.compute)),
        set_(load_data(s.data, data::Split::test)),
        model_(load_model(s.model, set_, device_, s.compute.precision)),
        batches_(set_, device_, *model_) {
    check_explainable(*model_, s.explain);
    make_output_folder(s.output_dir / "overlays");
    for (const std::string& method : s.explain.methods)
      maps_[method] = Tensor({set_.size(), set_.images.dim(1), set_.images.dim(2)});
  }

  int run() {
    io::CsvWriter rows(s_.output_dir / "predictions.csv", {"idx", "true", "pred", "target"});
    Progress progress("explain", set_.size(), {.quiet = s_.quiet});
    for (std::int64_t begin = 0; begin < set_.size(); begin += s_.explain.batch_size) {
      const std::int64_t end = std::min(begin + s_.explain.batch_size, set_.size());
      const std::vector<std::int32_t> labels(set_.labels.begin() + begin, set_.labels.begin() + end);
      const Explained e = explain_batch(*model_, batches_.images(begin, end), labels, begin, s_.explain);
      for (std::int64_t i = begin; i < end; ++i) {
        const auto n = static_cast<std::size_t>(i - begin);
        rows.row({i, labels[n], e.predicted[n], e.target[n]});
        draw(i, n, e);
      }
      progress.update(end);
      if (!stop_requested()) continue;
      std::cerr << fmt::format("stopped after {} of {} images; only their overlays are written\n", end,
                               set_.size());
      return stop_code();
    }
    progress.finish();
    rows.commit();
    if (!sheet_.empty()) io::write_png(s_.output_dir / "contact_sheet.png", contact_sheet(sheet_));
    if (s_.save_maps) save_maps();
    report();
    return ok;
  }

 private:
  void draw(std::int64_t index, std::size_t n, const Explained& e) {
    const std::int64_t H = set_.images.dim(1), W = set_.images.dim(2);
    const io::Image image =
        picture_of(set_.images.slice(index, index + 1).reshape({H, W, set_.images.dim(3)}));
    const int factor = static_cast<int>(std::max<std::int64_t>(1, 128 / std::max(H, W)));
    std::vector<io::Image> row{enlarge(image, factor)};
    for (std::size_t m = 0; m < e.maps.size(); ++m) {
      const float* map = e.maps[m].data() + static_cast<std::int64_t>(n) * H * W;
      const std::string& method = s_.explain.methods[m];
      std::copy(map, map + H * W, maps_[method].mutable_data() + index * H * W);
      io::Image over = image;
      over.pixels = xai::overlay(image.pixels, std::vector<float>(map, map + H * W));
      row.push_back(enlarge(over, factor));
      const std::string name = set_.class_names.empty()
                                   ? std::to_string(e.target[n])
                                   : set_.class_names[static_cast<std::size_t>(e.target[n])];
      io::write_png(
          s_.output_dir / "overlays" / fmt::format("img{:04}_{}_{}.png", index, name, column_name(method)),
          row.back());
    }
    if (static_cast<int>(sheet_.size()) < s_.sheet_rows) sheet_.push_back(std::move(row));
  }

  void save_maps() const {
    std::map<std::string, Tensor> arrays;
    for (const auto& [method, maps] : maps_)
      arrays[column_name(method)] = maps;
    io::write_npz(s_.output_dir / "maps.npz", arrays);
  }

  void report() const {
    std::string columns = "image";
    for (const std::string& method : s_.explain.methods)
      columns += ", " + column_name(method);
    std::cout << fmt::format("{} images explained\n  {}  (columns: {})\n  {}\n", set_.size(),
                             (s_.output_dir / "contact_sheet.png").string(), columns,
                             (s_.output_dir / "overlays").string());
    if (s_.save_maps) std::cout << fmt::format("  {}\n", (s_.output_dir / "maps.npz").string());
  }

  const Settings& s_;
  Device device_;
  data::Dataset set_;
  std::unique_ptr<nn::Model> model_;
  Batches batches_;
  std::map<std::string, Tensor> maps_;
  std::vector<std::vector<io::Image>> sheet_;
};

int main_of_explain(int argc, char** argv) {
  Settings s;
  Options options("clx-explain",
                  "Explains a trained model's decisions: overlays, a contact sheet and the maps.");
  options.group("Output");
  options.add("output-dir", &s.output_dir, "folder for pictures and maps");
  options.add("sheet-rows", &s.sheet_rows, "images on the contact sheet").range(1, 1000);
  options.add("save-maps", &s.save_maps, "write maps.npz");
  options.add("quiet", &s.quiet, "no progress");
  add_model_options(options, &s.model);
  add_data_options(options, &s.data);
  add_explain_options(options, &s.explain);
  add_compute_options(options, &s.compute);
  inherit_data_of_run(options);
  if (const auto code = options.parse(argc, argv)) return *code;
  handle_stop_signals();
  return Explainer(s).run();
}

}  // namespace
}  // namespace clx::app

int main(int argc, char** argv) {
  return clx::app::run_program(argc, argv, clx::app::main_of_explain);
}
