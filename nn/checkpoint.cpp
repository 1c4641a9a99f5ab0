#include "nn/checkpoint.h"

#include <algorithm>
#include <array>
#include <map>

#include "nn/checkpoint_metadata.h"
#include "runtime/check.h"
#include "runtime/io/safetensors.h"
#include "runtime/ops/convert.h"
#include "runtime/suggest.h"

namespace clx::nn {
namespace {

// (A,B,C,D) → (A, …) with the last three axes in the order given by their places in the source.
Tensor permuted(const Tensor& from, const std::array<int, 3>& axes) {
  const Tensor source = from.to(kCpu);
  const std::array<std::int64_t, 3> strides{from.dim(2) * from.dim(3), from.dim(3), 1};
  std::array<std::int64_t, 3> extent{}, stride{};
  for (std::size_t a = 0; a < 3; ++a) {
    extent[a] = from.dim(1 + axes[a]);
    stride[a] = strides[static_cast<std::size_t>(axes[a])];
  }
  Tensor to({from.dim(0), extent[0], extent[1], extent[2]});
  float* out = to.mutable_data();
  const float* in = source.data();
  const std::int64_t block = from.dim(1) * from.dim(2) * from.dim(3);
  for (std::int64_t k = 0; k < from.dim(0); ++k)
    for (std::int64_t i = 0; i < extent[0]; ++i)
      for (std::int64_t j = 0; j < extent[1]; ++j)
        for (std::int64_t l = 0; l < extent[2]; ++l)
          *out++ = in[k * block + i * stride[0] + j * stride[1] + l * stride[2]];
  return to;
}

// Filters (K,R,S,C) ↔ (K,C,R,S).
Tensor to_pytorch(const Tensor& filters) {
  return permuted(filters, {2, 0, 1});
}
Tensor from_pytorch(const Tensor& filters) {
  return permuted(filters, {1, 2, 0});
}

Shape pytorch_shape(const Entry& entry) {
  const Shape& s = entry.tensor->shape();
  return entry.filters ? Shape{s[0], s[3], s[1], s[2]} : s;
}

// One spelling for the names that codes give to the same tensor.
std::string canonical(std::string name) {
  for (bool found = true; found;) {
    found = false;
    for (const std::string prefix : {"module.", "model.", "encoder.", "backbone."}) {
      if (!name.starts_with(prefix)) continue;
      name.erase(0, prefix.size());
      found = true;
    }
  }
  if (name.starts_with("linear.")) name.replace(0, 6, "fc");
  const auto at = name.find(".shortcut.");
  if (at != std::string::npos) name.replace(at, 10, ".downsample.");
  return name;
}

using Tensors = std::map<std::string, Tensor>;

// What a file says of itself, before memory is taken for it.
void check_description(const std::filesystem::path& path, const io::SafeTensors& file, const Description& d) {
  const std::vector<std::string> known = architectures();
  CLX_CHECK_DATA(std::find(known.begin(), known.end(), d.arch) != known.end(), "checkpoint ", path.string(),
                 ": its architecture '", d.arch, "' is unknown here", did_you_mean(d.arch, known));
  const bool classifier = d.resnet.head == Head::classifier;
  const std::string last = classifier ? "fc.weight" : "projection.2.weight";
  const int outputs = classifier ? d.resnet.classes : d.resnet.projection;
  for (const auto& [name, tensor] : file.tensors)
    CLX_CHECK_DATA(canonical(name) != last || (tensor.rank() == 2 && tensor.dim(0) >= outputs), "checkpoint ",
                   path.string(), ": expected ", name, " of ", outputs, classifier ? " classes" : " outputs",
                   ", as its metadata says, got shape ", tensor.shape());
}

// What a file that does not describe itself shows of its head.
void recognise_head(const io::SafeTensors& file, ResnetOptions* options) {
  bool classifier = false;
  for (const auto& [name, tensor] : file.tensors)
    classifier = classifier || canonical(name) == "fc.weight";
  for (const auto& [name, tensor] : file.tensors) {
    if (classifier || canonical(name) != "projection.2.weight" || tensor.rank() != 2) continue;
    options->head = Head::projection;
    options->projection = static_cast<int>(tensor.dim(0));
  }
}

// The architecture whose blocks have these names, as a sentence; "" if none has.
std::string looks_like(const Tensors& tensors) {
  const auto blocks_of = [&](int stage) {
    int n = 0;
    while (tensors.contains(concat("layer", stage, ".", n, ".conv1.weight")))
      ++n;
    return n;
  };
  const std::array<int, 4> n{blocks_of(1), blocks_of(2), blocks_of(3), blocks_of(4)};
  const bool bottleneck = tensors.contains("layer1.0.conv3.weight");
  const bool option_b = tensors.contains("layer2.0.downsample.0.weight");
  if (n[0] > 0 && n[0] == n[1] && n[1] == n[2] && n[3] == 0 && !bottleneck)
    return concat("; the file looks like resnet", 6 * n[0] + 2, " with shortcut ", option_b ? "B" : "A");
  if (n == std::array{2, 2, 2, 2} && !bottleneck) return "; the file looks like a resnet18";
  if (n == std::array{3, 4, 6, 3} && bottleneck) return "; the file looks like resnet50";
  return "";
}

class Loader {
 public:
  Loader(const std::filesystem::path& path, const io::SafeTensors& file, Model& model)
      : path_(path), description_(model.description()) {
    for (const auto& [name, tensor] : file.tensors) {
      const bool fresh = tensors_.emplace(canonical(name), tensor).second;
      CLX_CHECK_DATA(fresh, where(), "tensor ", canonical(name), " is there twice, the second time as ",
                     name);
    }
    Tensors left = tensors_;
    std::vector<std::pair<Entry, Tensor>> replacements;
    model.visit([&](const Entry& entry) {
      const auto found = left.find(canonical(entry.name));
      const bool missing = found == left.end();
      if (missing && entry.role == Role::counter) return;
      CLX_CHECK_DATA(!missing, where(), "tensor ", entry.name, " of ", description_, " is missing", hint());
      replacements.emplace_back(entry, converted(entry, found->second));
      left.erase(found);
    });
    CLX_CHECK_DATA(left.empty(), where(), description_, " has no tensor ", left.begin()->first, hint());
    // Only now is the model touched.
    for (const auto& [entry, tensor] : replacements) {
      *entry.tensor = entry.role == Role::counter ? tensor.clone() : tensor.to(entry.tensor->device());
      if (entry.role == Role::parameter) entry.tensor->require_grad();
    }
  }

 private:
  std::string where() const { return concat("checkpoint ", path_.string(), ": "); }
  std::string hint() const { return looks_like(tensors_); }

  Tensor converted(const Entry& entry, const Tensor& tensor) const {
    const Shape expected = pytorch_shape(entry);
    CLX_CHECK_DATA(tensor.shape() == expected, where(), "expected ", entry.name, " of shape ", expected,
                   " for ", description_, ", got ", tensor.shape(), hint());
    const bool counter = entry.role == Role::counter;
    CLX_CHECK_DATA(tensor.dtype() == entry.tensor->dtype() || (!counter && tensor.dtype() == DType::bf16),
                   where(), "expected ", entry.name, " of ", clx::name_of(entry.tensor->dtype()), ", got ",
                   clx::name_of(tensor.dtype()));
    if (counter) return tensor;
    const Tensor f32 = convert(tensor, DType::f32);
    return entry.filters ? from_pytorch(f32) : f32;
  }

  const std::filesystem::path& path_;
  std::string description_;
  Tensors tensors_;
};

}  // namespace

void save_checkpoint(const std::filesystem::path& path, Model& model, const data::DatasetInfo& info) {
  Tensors tensors;
  model.visit([&](const Entry& entry) {
    tensors[entry.name] = entry.filters ? to_pytorch(*entry.tensor) : entry.tensor->to(kCpu);
  });
  io::write_safetensors(path, tensors, to_metadata({model.arch(), resnet_options(model), info}));
}

void load_weights(const std::filesystem::path& path, Model& model) {
  Loader(path, io::read_safetensors(path), model);
}

std::unique_ptr<Model> load_model(const std::filesystem::path& path, const LoadOptions& options) {
  const io::SafeTensors file = io::read_safetensors(path);
  Description d = from_metadata(path, file.metadata);
  if (d.arch.empty()) {
    CLX_CHECK_DATA(!options.arch.empty(), "checkpoint ", path.string(),
                   " does not say its architecture: name it (resnet20, resnet18-cifar, resnet50, …)", [&] {
                     Tensors tensors;
                     for (const auto& [name, tensor] : file.tensors)
                       tensors.emplace(canonical(name), tensor);
                     return looks_like(tensors);
                   }());
    d.arch = options.arch;
    d.resnet = options.resnet;
    recognise_head(file, &d.resnet);
  } else {
    check_description(path, file, d);
  }
  CLX_CHECK_DATA(options.arch.empty() || options.arch == d.arch, "checkpoint ", path.string(), ": expected ",
                 options.arch, ", got ", d.arch);
  if (d.info.name.empty()) d.info.name = options.info.name;
  if (d.info.class_names.empty()) d.info.class_names = options.info.class_names;
  if (d.info.mean.empty()) d.info.mean = options.info.mean;
  if (d.info.std.empty()) d.info.std = options.info.std;
  auto model = make_model(d.arch, d.resnet, std::nullopt, options.device, options.precision);
  Loader(path, file, *model);
  model->set_trained_on(d.info);
  return model;
}

}  // namespace clx::nn
