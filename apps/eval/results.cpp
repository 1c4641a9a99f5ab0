#include "apps/eval/results.h"

#include <nlohmann/json.hpp>

#include "runtime/io/npz.h"

namespace clx::app {

bool is_evaluation_result(const std::string& name) {
  return name.ends_with("_scores.csv") || name == "summary.json" || name == "summary.md" ||
         name == "pf_curves.npz" || name == "maps.npz";
}

nlohmann::ordered_json to_json(const Options::Values& values) {
  nlohmann::ordered_json all = nlohmann::ordered_json::object();
  for (const auto& [name, literal] : values)
    all[name] = nlohmann::ordered_json::parse(literal);
  return all;
}

void Curves::add(const std::string& method, const std::vector<double>& curves) {
  auto& all = curves_[method];
  all.insert(all.end(), curves.begin(), curves.end());
}

void Curves::write(const std::filesystem::path& file, const std::string& config) const {
  const auto N = static_cast<std::int64_t>(p0_.size());
  std::map<std::string, Tensor> arrays;
  for (const auto& [method, curves] : curves_)
    arrays[method] = Tensor::from_host({N, static_cast<std::int64_t>(curves.size()) / N}, curves);
  arrays["p0"] = Tensor::from_host({N}, p0_);
  arrays["config"] = text_array(config);
  io::write_npz(file, arrays);
}

}  // namespace clx::app
