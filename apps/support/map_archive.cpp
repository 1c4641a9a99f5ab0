#include "apps/support/map_archive.h"

#include <cstring>

#include "apps/support/explaining.h"
#include "runtime/io/npz.h"
#include "xai/metrics/complexity.h"

namespace clx::app {

Tensor text_array(const std::string& text) {
  return Tensor::from_host({static_cast<std::int64_t>(text.size())},
                           std::vector<std::uint8_t>(text.begin(), text.end()));
}

void MapArchive::append(const std::string& name, const Tensor& rows) {
  Array& array = arrays_[name];
  if (!array.values.defined()) {
    std::vector<std::int64_t> dims = rows.shape().dims();
    dims[0] = images_;
    array.values = Tensor(Shape(dims), kCpu, rows.dtype());
  }
  const Tensor host = rows.to(kCpu);
  Tensor part = array.values.slice(array.rows, array.rows + rows.dim(0));
  std::memcpy(part.mutable_view().data, host.view().data, host.bytes());
  array.rows += rows.dim(0);
}

void MapArchive::append(const std::string& name, const std::vector<std::int32_t>& classes) {
  const std::vector<std::int64_t> wide(classes.begin(), classes.end());
  append(name, Tensor::from_host({static_cast<std::int64_t>(wide.size())}, wide));
}

void MapArchive::add(const std::string& method,
                     const Tensor& maps,
                     const Tensor& raw,
                     const std::vector<std::uint8_t>& opposed) {
  const auto flags = [](const std::vector<std::uint8_t>& values) {
    return Tensor::from_host({static_cast<std::int64_t>(values.size())}, values);
  };
  append(method, maps);
  append(method + "_all_zero", flags(xai::all_zero(maps)));
  if (raw.defined()) append(method + "_raw", raw);
  if (!opposed.empty()) append(method + "_opposed", flags(opposed));
}

void MapArchive::add_classes(const std::vector<std::int32_t>& labels,
                             const std::vector<std::int32_t>& predicted,
                             const std::vector<std::int32_t>& target) {
  append("labels", labels);
  append("predicted", predicted);
  append("target", target);
}

void MapArchive::write(const std::filesystem::path& file, const std::string& config) const {
  std::map<std::string, Tensor> arrays;
  for (const auto& [name, array] : arrays_)
    arrays[name] = array.values;
  arrays["idx"] = Tensor::from_host({images_}, sample_ids(0, images_));
  arrays["config"] = text_array(config);
  io::write_npz(file, arrays);
}

}  // namespace clx::app
