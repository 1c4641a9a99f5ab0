#include "apps/eval/given.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <map>

#include "runtime/check.h"
#include "runtime/io/npy.h"
#include "runtime/io/npz.h"

namespace clx::app {
namespace {

namespace fs = std::filesystem;

// What --save-maps writes beside the maps.
bool is_company(const std::string& name) {
  static const std::array<const char*, 5> exact{"idx", "labels", "predicted", "target", "config"};
  static const std::array<const char*, 5> endings{"_raw", "_all_zero", "_opposed", "_noisy", "_contrast"};
  return std::ranges::any_of(exact, [&](const char* e) { return name == e; }) ||
         std::ranges::any_of(endings, [&](const char* e) { return name.ends_with(e); });
}

void check_finite(const std::string& where, const Tensor& x) {
  const float* values = x.data();
  const auto bad = std::find_if(values, values + x.size(), [](float v) { return !std::isfinite(v); });
  if (bad == values + x.size()) return;
  const std::int64_t image = (bad - values) / (x.size() / x.dim(0));
  throw DataError(concat(where, ": expected finite values, got ", *bad, " for image ", image));
}

void check_maps(const std::string& where, const Tensor& maps, const data::Dataset& set) {
  const Shape expected{set.size(), set.height(), set.width()};
  CLX_CHECK_DATA(maps.shape() == expected, where, ": expected (N,H,W)=", expected, ", got ", maps.shape());
  CLX_CHECK_DATA(maps.dtype() == DType::f32, where, ": expected floating-point maps, got ",
                 name_of(maps.dtype()));
  check_finite(where, maps);
}

void check_name(const std::string& file, const std::string& name) {
  const bool good = !name.empty() && std::ranges::all_of(name, [](unsigned char c) {
    return std::isalnum(c) || c == '_' || c == '-';
  });
  CLX_CHECK_DATA(good, file, ": expected names of letters, digits, - and _, got '", name, "'");
}

std::vector<std::int64_t> whole_numbers(const Tensor& x) {
  if (x.dtype() == DType::i64) return x.to_host<std::int64_t>();
  if (x.dtype() != DType::i32) return {};
  const auto narrow = x.to_host<std::int32_t>();
  return {narrow.begin(), narrow.end()};
}

// Maps of other images than these would score without complaint.
void check_company(const std::string& file,
                   const std::map<std::string, Tensor>& arrays,
                   const data::Dataset& set) {
  if (const auto labels = arrays.find("labels"); labels != arrays.end()) {
    const std::vector<std::int64_t> of_set(set.labels.begin(), set.labels.end());
    CLX_CHECK_DATA(whole_numbers(labels->second) == of_set, file, ": its labels are not those of the ",
                   set.size(), " images of ", set.name, "; the maps are of other images");
  }
  if (const auto idx = arrays.find("idx"); idx != arrays.end()) {
    const std::vector<std::int64_t> ids = whole_numbers(idx->second);
    bool in_order = static_cast<std::int64_t>(ids.size()) == set.size();
    for (std::size_t i = 0; in_order && i < ids.size(); ++i)
      in_order = ids[i] == static_cast<std::int64_t>(i);
    CLX_CHECK_DATA(in_order, file, ": expected idx = 0…", set.size() - 1, " in order");
  }
}

}  // namespace

std::vector<GivenMaps> read_given_maps(const fs::path& file, const data::Dataset& set) {
  const std::string where = "maps " + file.string();
  std::map<std::string, Tensor> arrays;
  if (file.extension() == ".npy")
    arrays[file.stem().string()] = io::read_npy(file);
  else
    arrays = io::read_npz(file);
  std::vector<GivenMaps> given;
  for (const auto& [name, array] : arrays) {
    if (is_company(name)) continue;
    check_name(where, name);
    check_maps(where + ": " + name, array, set);
    given.push_back({name, array});
  }
  CLX_CHECK_DATA(!given.empty(), where, ": expected at least one array of maps, got none");
  check_company(where, arrays, set);
  return given;
}

Tensor read_given_noise(const fs::path& file, const data::Dataset& set) {
  const std::string where = "noise " + file.string();
  const Tensor noise = io::read_npy(file);
  const std::int64_t N = set.size(), H = set.height(), W = set.width(), C = 3;
  const Shape last{N, H, W, C}, first{N, C, H, W};
  CLX_CHECK_DATA(noise.shape() == last || noise.shape() == first, where, ": expected (N,H,W,C)=", last,
                 " or (N,C,H,W)=", first, ", got ", noise.shape());
  CLX_CHECK_DATA(noise.dtype() == DType::f32, where, ": expected floating-point noise, got ",
                 name_of(noise.dtype()));
  check_finite(where, noise);
  if (noise.shape() == last) return noise;
  Tensor moved(last);
  float* out = moved.mutable_data();
  for (std::int64_t n = 0; n < N; ++n)
    for (std::int64_t p = 0; p < H * W; ++p)
      for (std::int64_t c = 0; c < C; ++c)
        *out++ = noise.data()[(n * C + c) * H * W + p];
  return moved;
}

}  // namespace clx::app
