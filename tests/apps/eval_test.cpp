// clx-eval: its files, its protocols, and what it takes from others.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "runtime/io/csv.h"
#include "runtime/io/npy.h"
#include "runtime/io/npz.h"
#include "tests/apps/tiny_run.h"

namespace clx {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

constexpr int kFailed = 1, kUsage = 2, kBadData = 3;

class Eval : public ProgramTest {
 protected:
  Eval() { train("run"); }

  Arguments arguments(const std::string& name, const Arguments& more = {}) const {
    return Arguments{"--run", at("run"), "--output-dir", at(name), "--limit", "12", "--threads", "1"} + more;
  }
  Finished evaluate(const std::string& name, const Arguments& more = {}) {
    return must("clx-eval", arguments(name, more));
  }
  json summary(const std::string& name) const { return json::parse(text_of(root / name / "summary.json")); }
  io::CsvTable table(const std::string& name, const std::string& file) const {
    return io::read_csv(root / name / (file + "_scores.csv"));
  }
  double mean(const std::string& name, const std::string& column) const {
    return summary(name)["metrics"][column]["mean"].get<double>();
  }
  void refuses_eval(const Arguments& more, int code, const std::vector<std::string>& parts) {
    refuses("clx-eval", arguments("new/folder", more), code, parts);
  }
};

TEST_F(Eval, WritesTheDocumentedTables) {
  const Finished done = evaluate("scores", {"--save-maps"});
  const fs::path folder = root / "scores";
  std::vector<std::string> files{"complexity_scores.csv",
                                 "config.toml",
                                 "continuity_scores.csv",
                                 "contrastivity_scores.csv",
                                 "maps.npz",
                                 "pf_curves.npz",
                                 "pf_scores.csv",
                                 "summary.json",
                                 "summary.md",
                                 "sparseness_scores.csv"};
  const std::vector<std::string> methods{"GradCAM", "EigenCAM", "RandomMap", "InvertedGradCAM",
                                         "InvertedEigenCAM"};
  for (const std::string& method : methods)
    for (const char* metric : {"_AL_scores.csv", "_PG_scores.csv"})
      files.push_back(method + metric);
  EXPECT_THAT(names_in(folder), testing::UnorderedElementsAreArray(files));
  for (const std::string& name : files)
    EXPECT_TRUE(!name.ends_with(".csv") || io::read_csv(folder / name).rows.size() == 12) << name;

  const auto header_begins = [&](const char* file, std::vector<std::string> expected) {
    std::vector<std::string> header = table("scores", file).header;
    header.resize(std::min(header.size(), expected.size()));
    EXPECT_EQ(header, expected);
  };
  header_begins("pf", {"idx", "true", "pred", "GradCAM_PF_AUC", "EigenCAM_PF_AUC", "RandomMap_PF_AUC"});
  header_begins("continuity", {"idx", "true", "pred", "GradCAM_SSIM_Continuity", "EigenCAM_SSIM_Continuity"});
  header_begins("contrastivity", {"idx", "true", "pred", "contrast_class", "GradCAM_SSIM_Contrastivity"});
  header_begins("complexity", {"idx", "true", "pred", "GradCAM_Complexity", "EigenCAM_Complexity"});
  header_begins("sparseness", {"idx", "true", "pred", "GradCAM_Sparseness", "EigenCAM_Sparseness"});
  EXPECT_THAT(table("scores", "GradCAM_PG").header, ElementsAre("GradCAM_PG"));

  const io::CsvTable pf = table("scores", "pf");
  const std::vector<double> auc = pf.numbers("GradCAM_PF_AUC"), p0 = pf.numbers("p0");
  const std::vector<double> over = pf.numbers("GradCAM_PF_AUC_over_p0");
  double sum = 0;
  for (std::size_t i = 0; i < auc.size(); ++i) {
    EXPECT_NEAR(over[i], auc[i] / p0[i], 1e-6);
    sum += auc[i];
  }
  EXPECT_NEAR(mean("scores", "GradCAM_PF_AUC"), sum / 12, 1e-12);
  const auto curves = io::read_npz(folder / "pf_curves.npz");
  EXPECT_EQ(curves.at("GradCAM").shape(), (Shape{12, 16}));
  EXPECT_EQ(curves.at("p0").shape(), (Shape{12}));
  const json all = summary("scores");
  EXPECT_EQ(all["images"], 12);
  EXPECT_EQ(all["layer"], "layer3.2");
  EXPECT_EQ(all["cam"], "closed");
  EXPECT_EQ(all["protocol"], "paper");
  EXPECT_EQ(all["model_hash"].get<std::string>().size(), 16u);
  EXPECT_GT(all["seconds"]["total"].get<double>(), 0);
  EXPECT_EQ(all["flags"]["pf-class"], "target");
  const std::vector<std::uint8_t> config = curves.at("config").to_host<std::uint8_t>();
  EXPECT_EQ(json::parse(config)["flags"], all["flags"]);
  for (const char* word :
       {"GradCAM", "EigenCAM", "RandomMap", "PF_AUC", "SSIM_Continuity", "protocol paper"}) {
    EXPECT_THAT(done.out, HasSubstr(word));
    EXPECT_THAT(text_of(folder / "summary.md"), HasSubstr(word));
  }
}

TEST_F(Eval, ControlsCanBeLeftOutAndMetricsChosen) {
  evaluate("scores", {"--controls", "none", "--metric", "complexity", "--method", "eigen-cam"});
  EXPECT_THAT(names_in(root / "scores"),
              UnorderedElementsAre("complexity_scores.csv", "config.toml", "summary.json", "summary.md"));
  EXPECT_THAT(table("scores", "complexity").header,
              ElementsAre("idx", "true", "pred", "EigenCAM_Complexity"));
}

TEST_F(Eval, TheReferenceProtocolSetsEveryFlag) {
  evaluate("paper", {"--save-maps"});
  evaluate("reference", {"--protocol", "reference", "--save-maps"});
  const json flags = summary("reference")["flags"];
  EXPECT_EQ(flags["pf-class"], "true");
  EXPECT_EQ(flags["continuity-clamp"], "reference");
  EXPECT_EQ(flags["eigen-sign"], "lapack");
  EXPECT_EQ(flags["coherence-aug-smooth"], true);
  EXPECT_EQ(flags["coherence-target"], "true");
  EXPECT_EQ(flags["zero-ssim"], "keep");
  EXPECT_EQ(flags["zero-coherence"], "spike");
  EXPECT_EQ(flags["mask-mode"], "reference");
  EXPECT_EQ(flags["filter"], "correct");
  EXPECT_LT(mean("reference", "GradCAM_SSIM_Continuity"), mean("paper", "GradCAM_SSIM_Continuity"))
      << "the clamp changes far more than the noise";
  EXPECT_EQ(mean("reference", "RandomMap_Complexity") > 0, true);
  const json metrics = summary("reference")["metrics"];
  EXPECT_EQ(metrics["GradCAM_PF_AUC"]["population"], "correct");
  EXPECT_EQ(metrics["GradCAM_AL"]["population"], "all");
  const double accuracy = summary("reference")["accuracy"].get<double>();
  const auto& pf = metrics["GradCAM_PF_AUC"];
  EXPECT_NEAR(pf["n"].get<double>() + pf["nan"].get<double>(), 12 * accuracy, 1e-9);
  EXPECT_EQ(table("reference", "pf").rows.size(), 12u) << "the tables hold all images";
  // The maps are the same but for Eigen-CAM's sign; coherence averages six views.
  const auto a = io::read_npz(root / "paper/maps.npz"), b = io::read_npz(root / "reference/maps.npz");
  EXPECT_EQ(a.at("GradCAM").to_host(), b.at("GradCAM").to_host());
  EXPECT_NE(table("paper", "GradCAM_AL").numbers("GradCAM_AL"),
            table("reference", "GradCAM_AL").numbers("GradCAM_AL"));
}

TEST_F(Eval, FlagsWinOverTheProtocolAndTheFileOverIt) {
  const auto config = [&](const Arguments& more) { return must("clx-eval", more).out; };
  EXPECT_THAT(config({"--print-config"}), HasSubstr("pf-class = \"target\""));
  EXPECT_THAT(config({"--print-config", "--protocol", "reference"}), HasSubstr("pf-class = \"true\""));
  const std::string text = config({"--print-config", "--protocol", "reference", "--pf-class", "predicted"});
  EXPECT_THAT(text, HasSubstr("pf-class = \"predicted\""));
  EXPECT_THAT(text, HasSubstr("continuity-clamp = \"reference\""));
  const std::string file = "noise-sigma = 0.5\n";
  io::write_file(root / "c.toml", file.data(), file.size());
  EXPECT_THAT(config({"--print-config", "--protocol", "reference", "--config", at("c.toml")}),
              HasSubstr("noise-sigma = 0.5"));
  // A printed configuration is one, protocol and all; another protocol on top of it would change nothing.
  io::write_file(root / "printed.toml", text.data(), text.size());
  EXPECT_EQ(config({"--print-config", "--config", at("printed.toml")}), text);
  refuses("clx-eval", {"--config", at("printed.toml"), "--protocol", "paper"}, kUsage,
          {"--protocol", "reference", "paper", "config file"});
}

TEST_F(Eval, TakesMapsOfOtherToolsAndItsOwn) {
  evaluate("own", {"--save-maps"});
  const Finished given = evaluate("given", {"--maps", at("own/maps.npz")});
  EXPECT_THAT(given.out, HasSubstr("continuity skipped: given maps"));
  for (const char* file : {"pf", "complexity", "sparseness", "GradCAM_AL", "InvertedEigenCAM_PG"})
    for (const std::string& column : table("given", file).header) {
      EXPECT_EQ(table("given", file).numbers(column), table("own", file).numbers(column)) << column;
    }
  const Tensor maps = io::read_npz(root / "own/maps.npz").at("EigenCAM");
  io::write_npy(root / "theirs.npy", maps);
  evaluate("one", {"--maps", at("theirs.npy"), "--metric", "sparseness", "--controls", "none"});
  EXPECT_EQ(table("one", "sparseness").numbers("theirs_Sparseness"),
            table("own", "sparseness").numbers("EigenCAM_Sparseness"));
}

TEST_F(Eval, RefusesMapsThatDoNotFit) {
  const auto maps = [&](const Tensor& m) {
    io::write_npz(root / "maps.npz", {{"mine", m}});
    return Arguments{"--maps", at("maps.npz")};
  };
  refuses_eval(maps(Tensor::zeros({12, 16, 15})), kBadData,
               {"maps.npz: mine", "expected (N,H,W)=", "12", "got ", "15"});
  refuses_eval(maps(Tensor::zeros({11, 16, 16})), kBadData, {"expected (N,H,W)="});
  refuses_eval(maps(Tensor::zeros({12, 3, 16, 16})), kBadData, {"expected (N,H,W)="});
  refuses_eval(maps(Tensor::zeros({12, 16, 16}, kCpu, DType::u8)), kBadData, {"floating-point"});
  Tensor nan = Tensor::zeros({12, 16, 16});
  nan.mutable_data()[3 * 256 + 7] = std::nanf("");
  refuses_eval(maps(nan), kBadData, {"mine", "finite", "image 3"});
  io::write_npz(root / "none.npz", {{"idx", Tensor::zeros({12}, kCpu, DType::u8)}});
  refuses_eval({"--maps", at("none.npz")}, kBadData, {"at least one array"});
  io::write_npz(root / "others.npz",
                {{"mine", Tensor::zeros({12, 16, 16})},
                 {"labels", Tensor::from_host({12}, std::vector<std::int64_t>(12, 99))}});
  refuses_eval({"--maps", at("others.npz")}, kBadData, {"labels", "other images"});
  refuses_eval({"--maps", at("nowhere.npz")}, kBadData, {"nowhere.npz"});
}

TEST_F(Eval, TakesNoiseInEitherLayoutAndRefusesOthers) {
  Tensor last({12, 16, 16, 3}), first({12, 3, 16, 16});
  for (std::int64_t n = 0; n < 12; ++n)
    for (std::int64_t p = 0; p < 256; ++p)
      for (std::int64_t c = 0; c < 3; ++c) {
        const auto v = static_cast<float>(0.1 * std::sin(static_cast<double>(n + 7 * p + 300 * c)));
        last.mutable_data()[(n * 256 + p) * 3 + c] = first.mutable_data()[(n * 3 + c) * 256 + p] = v;
      }
  io::write_npy(root / "last.npy", last);
  io::write_npy(root / "first.npy", first);
  io::write_npy(root / "zero.npy", Tensor::zeros({12, 16, 16, 3}));
  for (const char* name : {"last", "first", "zero"})
    evaluate(name, {"--metric", "continuity", "--noise", at(concat(name, ".npy"))});
  const auto scores = [&](const char* name) {
    return table(name, "continuity").numbers("GradCAM_SSIM_Continuity");
  };
  EXPECT_EQ(scores("last"), scores("first"));
  EXPECT_LT(mean("last", "GradCAM_SSIM_Continuity"), 1);
  for (const double score : scores("zero"))
    EXPECT_TRUE(std::isnan(score) || score == 1) << score;
  EXPECT_EQ(table("zero", "continuity").numbers("noisy_pred"), table("zero", "continuity").numbers("pred"));
  io::write_npy(root / "bad.npy", Tensor::zeros({12, 16, 16, 1}));
  refuses_eval({"--noise", at("bad.npy")}, kBadData, {"noise", "(N,H,W,C)=", "(N,C,H,W)=", "got"});
  last.mutable_data()[5] = std::nanf("");
  io::write_npy(root / "nan.npy", last);
  refuses_eval({"--noise", at("nan.npy")}, kBadData, {"nan.npy", "finite"});
}

TEST_F(Eval, ContrastsWithAnotherClass) {
  const auto classes = [&](const char* mode, const char* seed) {
    const std::string name = concat(mode, seed);
    evaluate(name, {"--metric", "contrastivity", "--contrast-class", mode, "--contrast-seed", seed});
    const io::CsvTable t = table(name, "contrastivity");
    const std::vector<double> other = t.numbers("contrast_class"), predicted = t.numbers("pred");
    for (std::size_t i = 0; i < other.size(); ++i)
      EXPECT_TRUE(other[i] != predicted[i] && other[i] >= 0 && other[i] < 10) << mode;
    return other;
  };
  EXPECT_NE(classes("random", "0"), classes("random", "1"));
  EXPECT_NE(classes("runner-up", "0"), classes("least-likely", "0"));
  evaluate("all", {"--metric", "contrastivity", "--contrast-class", "all"});
  EXPECT_THAT(table("all", "contrastivity").header,
              ElementsAre("idx", "true", "pred", "GradCAM_SSIM_Contrastivity"));
}

TEST_F(Eval, MapsWithoutAnExplanationAreFlaggedAndNotScored) {
  Tensor maps({12, 16, 16});
  for (std::int64_t i = 0; i < maps.size(); ++i)
    maps.mutable_data()[i] = i / 256 == 4 ? 0.0f : static_cast<float>(i % 97) / 97;
  io::write_npy(root / "mine.npy", maps);
  const Finished done = evaluate("scores", {"--maps", at("mine.npy")});
  EXPECT_THAT(done.out, HasSubstr("mine: 1 maps are zero everywhere"));
  EXPECT_EQ(summary("scores")["zero_maps"]["mine"], 1);
  for (const char* column : {"mine_PF_AUC", "mine_Complexity", "mine_Sparseness", "mine_AL", "mine_PG",
                             "Inverted"
                             "mine_Complexity"}) {
    EXPECT_EQ(summary("scores")["metrics"][column]["n"], 11) << column;
    EXPECT_EQ(summary("scores")["metrics"][column]["nan"], 1) << column;
  }
  EXPECT_TRUE(std::isnan(table("scores", "pf").numbers("mine_PF_AUC")[4]));
  EXPECT_FALSE(std::isnan(table("scores", "pf").numbers("p0")[4]));
  evaluate("spiked", {"--maps", at("mine.npy"), "--zero-coherence", "spike"});
  EXPECT_EQ(summary("spiked")["metrics"]["mine_AL"]["n"], 12);
}

TEST_F(Eval, RefusesWhatItCannotMeasure) {
  refuses_eval({"--ssim-window", "17"}, kBadData, {"ssim", "17×17", "got 16×16"});
  refuses_eval({"--ssim-window", "8"}, kUsage, {"ssim-window", "odd", "got 8"});
  refuses_eval({"--layer", "layer3.7"}, kUsage, {"layer", "did you mean layer3."});
  refuses_eval({"--layer", "layer2.0", "--cam", "closed"}, kUsage, {"cam", "layer3.2", "--cam autograd"});
  refuses_eval({"--target", "10"}, kUsage, {"target", "0…9", "got 10"});
  refuses_eval({"--max-memory", "lots"}, kUsage, {"memory", "2G", "got lots"});
  refuses_eval({"--pf-step", "7"}, kUsage, {"pf-step", "divides", "got 7"});
  refuses_eval({"--protocol", "paepr"}, kUsage, {"--protocol", "did you mean paper?"});
}

TEST_F(Eval, ResultsThatAreThereAreKeptUnlessToldOtherwise) {
  evaluate("scores", {"--metric", "complexity"});
  refuses("clx-eval", arguments("scores", {"--metric", "sparseness"}), kFailed,
          {at("scores"), "holds results already", "--overwrite"});
  evaluate("scores", {"--metric", "sparseness", "--overwrite"});
  EXPECT_THAT(names_in(root / "scores"),
              UnorderedElementsAre("sparseness_scores.csv", "config.toml", "summary.json", "summary.md"));
  const Arguments explain{"--run", at("run"), "--limit", "2", "--output-dir", at("pictures")};
  must("clx-explain", explain);
  refuses("clx-explain", explain, kFailed, {at("pictures"), "holds results already", "--overwrite"});
  must("clx-explain", explain + Arguments{"--limit", "1", "--overwrite"});
  EXPECT_EQ(names_in(root / "pictures/overlays").size(), 3u);
}

TEST_F(Eval, ReplayedWorkGivesTheSameScores) {
  const auto scores = [&](const std::string& name, const std::string& graph, const Arguments& more) {
    evaluate(name, Arguments{"--device", "emulated", "--graph", graph, "--limit", "7", "--batch-size", "2",
                             "--pf-step", "128", "--save-maps"} +
                       more);
    std::map<std::string, std::string> files = contents(root / name);
    std::erase_if(files, [](const auto& file) { return !file.first.ends_with("_scores.csv"); });
    EXPECT_GE(files.size(), 9u);
    for (const auto& [of, array] : io::read_npz(root / name / "maps.npz"))
      if (of != "config") files[of] = std::string(static_cast<const char*>(array.view().data), array.bytes());
    return files;
  };
  for (const Arguments& more : {Arguments{}, {"--protocol", "reference", "--contrast-class", "all"}}) {
    const auto plain = scores("plain", "off", more + Arguments{"--overwrite"});
    EXPECT_TRUE(scores("replayed", "on", more + Arguments{"--overwrite"}) == plain);
  }
}

TEST_F(Eval, LittleMemoryGivesTheSameScores) {
  evaluate("much", {"--metric", "pixel-flipping"});
  evaluate("little", {"--metric", "pixel-flipping", "--max-memory", "64K"});
  EXPECT_EQ(text_of(root / "much/pf_scores.csv"), text_of(root / "little/pf_scores.csv"));
}

}  // namespace
}  // namespace clx
