#include "nn/data/folder.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "nn/data/image_source.h"
#include "runtime/check.h"
#include "runtime/io/file.h"
#include "runtime/random.h"

namespace clx::data {
namespace {

namespace fs = std::filesystem;

class Files : public ImageSource {
 public:
  Files(std::vector<fs::path> images, std::vector<fs::path> masks)
      : images_(std::move(images)), masks_(std::move(masks)) {}

  std::int64_t size() const override { return static_cast<std::int64_t>(images_.size()); }
  bool has_masks() const override { return !masks_.empty(); }
  std::string name(std::int64_t i) const override { return images_[static_cast<std::size_t>(i)].string(); }
  io::ImageView read(std::int64_t i, Memory& memory) const override {
    return decode(images_[static_cast<std::size_t>(i)], memory);
  }
  io::ImageView read_mask(std::int64_t i, Memory& memory) const override {
    return decode(masks_[static_cast<std::size_t>(i)], memory);
  }

 private:
  static io::ImageView decode(const fs::path& path, Memory& memory) {
    constexpr std::uint64_t kMaxImageBytes = std::uint64_t{1} << 30;
    const io::InputFile file(path);
    CLX_CHECK_DATA(file.size() <= kMaxImageBytes, "reading ", path.string(), ": expected at most ",
                   kMaxImageBytes, " bytes, got ", file.size());
    memory.file.resize(static_cast<std::size_t>(file.size()));
    file.read_at(0, memory.file.data(), memory.file.size());
    memory.image = io::decode_image(memory.file, path.string(), {}, std::move(memory.image.pixels));
    return memory.image;
  }

  std::vector<fs::path> images_, masks_;
};

bool hidden(const fs::path& path) {
  return path.filename().string().starts_with(".");
}

bool is_image(const fs::path& path) {
  std::string extension = path.extension().string();
  std::ranges::transform(extension, extension.begin(), [](unsigned char c) { return std::tolower(c); });
  return extension == ".jpg" || extension == ".jpeg" || extension == ".png";
}

// The folders in which classes or images are sought: one split's, or both's.
struct Root {
  fs::path images;
  fs::path masks;  // empty if there are none
  bool split = false;
};

// The first of `names` that is a folder in `folder`.
std::optional<std::string> first_folder(const fs::path& folder, std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (fs::is_directory(folder / name)) return name;
  return {};
}

Root root_of(const fs::path& folder, Split split, const fs::path& masks_dir) {
  CLX_CHECK_DATA(fs::is_directory(folder), "folder: expected a folder of images at ", folder.string(),
                 fs::exists(folder) ? ", got a file" : ", got no such folder");
  CLX_CHECK_DATA(masks_dir.empty() || fs::is_directory(masks_dir), "folder: expected a folder of masks at ",
                 masks_dir.string(), ", got none");
  const auto existing = [](const fs::path& path) { return fs::is_directory(path) ? path : fs::path(); };
  if (!fs::is_directory(folder / "train")) {
    const bool inside = fs::is_directory(folder / "images");
    Root root{inside ? folder / "images" : folder, masks_dir, false};
    if (inside && masks_dir.empty()) root.masks = existing(folder / "masks");
    return root;
  }
  std::optional<std::string> name = "train";
  if (split == Split::test) name = first_folder(folder, {"test", "val", "validation"});
  CLX_CHECK_DATA(name, "folder: expected test, val or validation beside ", (folder / "train").string(),
                 ", got none");
  Root root{folder / *name, existing(folder / (*name + "-masks")), true};
  if (!masks_dir.empty()) root.masks = fs::is_directory(masks_dir / *name) ? masks_dir / *name : masks_dir;
  return root;
}

std::vector<std::string> class_folders(const Root& root) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(root.images)) {
    if (!entry.is_directory() || hidden(entry.path())) continue;
    std::error_code unknown;
    if (!root.masks.empty() && fs::equivalent(entry.path(), root.masks, unknown)) continue;
    names.push_back(entry.path().filename().string());
  }
  std::ranges::sort(names);
  CLX_CHECK_DATA(!names.empty(), "folder: expected a folder for each class in ", root.images.string(),
                 ", got none");
  return names;
}

// The images of one class in the order of their paths.
std::vector<fs::path> images_of_class(const fs::path& folder) {
  std::vector<fs::path> images;
  std::string other;
  auto entries = fs::recursive_directory_iterator(folder, fs::directory_options::follow_directory_symlink);
  for (auto it = fs::begin(entries); it != fs::end(entries); ++it) {
    if (hidden(it->path())) {
      if (it->is_directory()) it.disable_recursion_pending();
      continue;
    }
    if (!it->is_regular_file()) continue;
    if (is_image(it->path()))
      images.push_back(it->path());
    else
      other = it->path().filename().string();
  }
  std::ranges::sort(images, {}, [](const fs::path& path) { return path.string(); });
  CLX_CHECK_DATA(!images.empty(), "folder: expected images (.jpg, .jpeg or .png) in the class folder ",
                 folder.string(), ", got ",
                 other.empty() ? "an empty folder" : "other files, such as " + other);
  return images;
}

// Which of a class's images are for testing: a share drawn by the seed, but never all of them.
std::vector<bool> drawn_for_testing(std::size_t images, std::size_t label, const FolderOptions& options) {
  const auto share =
      static_cast<std::size_t>(std::lround(options.test_fraction * static_cast<double>(images)));
  std::vector<bool> test(images);
  std::fill_n(test.begin(), std::min(share, images - 1), true);
  Random random(options.seed, Purpose::split, 0, label);
  for (std::size_t i = images; i > 1; --i) {
    const std::size_t j = random.below(static_cast<std::uint32_t>(i));
    const bool kept = test[i - 1];
    test[i - 1] = test[j];
    test[j] = kept;
  }
  return test;
}

// The masks of all images, or none at all.
std::vector<fs::path> masks_of(const Root& root, const std::vector<fs::path>& images) {
  std::vector<fs::path> masks;
  if (root.masks.empty()) return masks;
  fs::path missing;
  for (const fs::path& image : images) {
    fs::path mask = root.masks / image.lexically_relative(root.images);
    mask.replace_extension(".png");
    if (fs::exists(mask))
      masks.push_back(std::move(mask));
    else if (missing.empty())
      missing = mask;
  }
  CLX_CHECK_DATA(masks.empty() || missing.empty(),
                 "folder: expected a mask for every image or for none, got ", masks.size(), " for ",
                 images.size(), " images; the first that is missing: ", missing.string());
  return masks;
}

void check_classes(const fs::path& folder, const std::vector<std::string>& found) {
  const std::vector<std::string> known = class_folders(root_of(folder, Split::train, {}));
  for (const std::string& name : found)
    CLX_CHECK_DATA(std::ranges::binary_search(known, name), "folder: expected the classes of ",
                   (folder / "train").string(), " in the test split, got ", name);
}

std::string name_of_folder(const fs::path& folder) {
  const fs::path clean = fs::absolute(folder).lexically_normal();
  return clean.has_filename() ? clean.filename().string() : clean.parent_path().filename().string();
}

}  // namespace

Dataset load_folder(const fs::path& folder, Split split, const FolderOptions& options) {
  CLX_CHECK(options.test_fraction > 0 && options.test_fraction < 1,
            "folder: expected a share for testing between 0 and 1, got ", options.test_fraction);
  const Root root = root_of(folder, split, options.masks_dir);
  Dataset set;
  set.name = name_of_folder(folder);
  set.square = options.square;
  set.mean = {0.485f, 0.456f, 0.406f};
  set.std = {0.229f, 0.224f, 0.225f};
  const std::vector<std::string> found = class_folders(root);
  set.class_names = found;
  if (root.split && split == Split::test) {
    check_classes(folder, found);
    set.class_names = class_folders(root_of(folder, Split::train, {}));
  }
  std::vector<fs::path> images;
  for (const std::string& name : found) {
    const auto label =
        static_cast<std::size_t>(std::ranges::lower_bound(set.class_names, name) - set.class_names.begin());
    const std::vector<fs::path> of_class = images_of_class(root.images / name);
    std::vector<bool> test(of_class.size(), split == Split::test);
    if (!root.split) test = drawn_for_testing(of_class.size(), label, options);
    for (std::size_t i = 0; i < of_class.size(); ++i) {
      if (test[i] != (split == Split::test)) continue;
      images.push_back(of_class[i]);
      set.labels.push_back(static_cast<std::int32_t>(label));
    }
  }
  CLX_CHECK_DATA(!images.empty(), "folder: expected images for testing in ", folder.string(),
                 ", got none; a larger --test-fraction takes some of each class");
  std::vector<fs::path> masks = masks_of(root, images);
  set.source = std::make_shared<Files>(std::move(images), std::move(masks));
  return set;
}

}  // namespace clx::data
