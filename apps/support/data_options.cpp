#include "apps/support/data_options.h"

#include <iostream>
#include <numeric>

#include "apps/support/exit_code.h"
#include "nn/data/cifar10.h"
#include "nn/data/folder.h"
#include "nn/data/pack.h"
#include "nn/data/shapes.h"

namespace clx::app {
namespace {

std::filesystem::path need_data_dir(const DataOptions& options, const char* what) {
  if (options.data_dir.empty()) throw UsageError(concat("data-dir: expected ", what, ", got none"));
  return options.data_dir;
}

data::Dataset shapes(const DataOptions& options, data::Split split) {
  const bool train = split == data::Split::train;
  return data::make_shapes({.size = options.image_size.value_or(32),
                            .samples = train ? options.train_samples : options.test_samples,
                            .seed = options.data_seed},
                           split);
}

data::Dataset folder(const DataOptions& options, data::Split split) {
  return data::load_folder(
      need_data_dir(options, "the folder of the images (train/<class>/… and test/<class>/…, or <class>/…)"),
      split,
      {.square = {.side = options.image_size.value_or(224), .shorter = options.test_resize.value_or(0)},
       .test_fraction = options.test_fraction,
       .seed = options.data_seed,
       .masks_dir = options.masks_dir});
}

}  // namespace

void add_data_options(Options& options, DataOptions* data) {
  options.group("Data");
  options
      .add("dataset", &data->dataset,
           "shapes (built in, drawn on the fly, with object masks), cifar10, folder (image files in class "
           "folders) "
           "or packed (a file of clx-data pack)")
      .choices({"shapes", "cifar10", "folder", "packed"});
  options.add("data-dir", &data->data_dir,
              "folder of the data set's files (cifar10: cifar-10-batches-bin); of packed the file");
  options.add("train-files", &data->train_files, "training files of cifar10 (default: all five batches)");
  options
      .add("image-size", &data->image_size,
           "height and width that the model sees (default: shapes 32, folder 224, packed its own)")
      .range(16, 4096);
  options.add("train-samples", &data->train_samples, "training images of shapes").range(1, 1e8);
  options.add("test-samples", &data->test_samples, "test images of shapes").range(1, 1e8);
  options.add("data-seed", &data->data_seed, "seed of shapes, and of the split of a folder that has none");
  options
      .add("test-fraction", &data->test_fraction,
           "share of each class for testing, of a folder that has no split of its own")
      .range(0.001, 0.999);
  options.add("masks-dir", &data->masks_dir,
              "folder of the object masks (default: as the folder's layout has it)");
  options
      .add(
          "mask-format", &data->mask_format,
          "what masks of folder hold: binary, an object where a pixel is not zero; imagenet-s, class numbers "
          "of which the image's own counts")
      .choices({"binary", "imagenet-s"});
  options
      .add("test-resize", &data->test_resize,
           "shorter side to which a test image is resized before its middle is cut out (default: 8/7 of "
           "image-size; "
           "images of that size are taken as they are)")
      .range(16, 8192);
  options.add("limit", &data->limit, "use only the first images of each split (of folder: spread); 0: all")
      .range(0, 1e9);
  options.add("workers", &data->workers, "threads that read image files; 0: as many as compute")
      .range(0, 1024);
  options.add(
      "on-bad-image", &data->on_bad_image,
      {{"fail", data::OnBadImage::fail}, {"skip", data::OnBadImage::skip}},
      "when an image file cannot be read: fail, or skip (training takes the next image of its class)");
}

std::vector<std::string> data_option_names() {
  return {"dataset",   "data-dir",      "image-size", "train-samples", "test-samples",
          "data-seed", "test-fraction", "masks-dir",  "test-resize",   "on-bad-image"};
}

data::Dataset list_data(const DataOptions& options, data::Split split) {
  if (options.test_resize && options.image_size && *options.test_resize < *options.image_size)
    throw UsageError(concat("test-resize: expected at least the image size ", *options.image_size, ", got ",
                            *options.test_resize));
  data::Dataset set;
  if (options.dataset == "shapes")
    set = shapes(options, split);
  else if (options.dataset == "folder")
    set = folder(options, split);
  else if (options.dataset == "packed")
    set = data::load_pack(need_data_dir(options, "the file that clx-data pack wrote"), split,
                          {.side = options.image_size, .shorter = options.test_resize.value_or(0)});
  else
    set = data::load_cifar10(need_data_dir(options, "the folder of cifar10's files (cifar-10-batches-bin)"),
                             split, {.train_files = options.train_files});
  set.mask_rule = options.reference_masks               ? data::MaskRule::blended
                  : options.mask_format == "imagenet-s" ? data::MaskRule::class_id
                                                        : data::MaskRule::any;
  return options.limit > 0 ? set.first(options.limit) : set;
}

data::Dataset load_data(const DataOptions& options, data::Split split) {
  data::Dataset set = list_data(options, split);
  if (!set.source || split == data::Split::train) return set;
  data::make_resident(&set, options.workers, options.on_bad_image);
  for (const std::string& why : set.bad_images)
    std::cerr << "left out of the test images: " << why << '\n';
  return set;
}

Batches::Batches(const data::Dataset& set,
                 Device device,
                 const nn::Model& model,
                 std::optional<std::int64_t> most_on_device)
    : set_(set), ids_(device), step_(device) {
  if (!set.source) images_.emplace(set.images, device, most_on_device);
  const data::DatasetInfo& trained = model.trained_on();
  as_is_.mean = trained.mean.empty() ? set.mean : trained.mean;
  as_is_.std = trained.std.empty() ? set.std : trained.std;
  as_is_.dtype = model.input_dtype();
}

Tensor Batches::images(std::int64_t begin, std::int64_t end) {
  std::vector<std::int64_t> samples(static_cast<std::size_t>(end - begin));
  std::iota(samples.begin(), samples.end(), begin);
  const Tensor ids = data::send_ids(ids_, samples);
  if (!images_)
    return augment_batch(data::read_squares(set_, begin, end, 0).to(step_.device()), ids, step_, as_is_);
  if (images_->kept()) return augment_images(images_->all(), ids, step_, as_is_);
  return augment_batch(images_->rows(samples), ids, step_, as_is_);
}

}  // namespace clx::app
