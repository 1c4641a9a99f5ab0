#include "nn/data/cifar10.h"

#include <cstddef>

#include "runtime/check.h"
#include "runtime/io/file.h"

namespace clx::data {
namespace {

constexpr std::size_t kPixels = 32 * 32;
constexpr std::size_t kRecordBytes = 1 + 3 * kPixels;  // label, then the planes R, G, B
constexpr std::size_t kRecords = 10000;                // per file

std::filesystem::path folder_of_batches(const std::filesystem::path& folder) {
  const std::filesystem::path inside = folder / "cifar-10-batches-bin";
  return std::filesystem::is_directory(inside) ? inside : folder;
}

void check_file(const std::filesystem::path& file) {
  CLX_CHECK_DATA(
      std::filesystem::exists(file), "cifar10: expected ", file.filename().string(), " in ",
      file.parent_path().string(),
      ", got no such file; download cifar-10-binary.tar.gz from "
      "https://www.cs.toronto.edu/~kriz/cifar.html and unpack it, or name the files that are there");
  CLX_CHECK_DATA(std::filesystem::is_regular_file(file), "cifar10: expected ", file.string(),
                 " to be a file");
  const auto bytes = std::filesystem::file_size(file);
  CLX_CHECK_DATA(bytes >= kRecords * kRecordBytes, "cifar10: ", file.string(), " is truncated in record ",
                 bytes / kRecordBytes, ": expected 30730000 bytes (10,000 records of 3,073), got ", bytes);
  CLX_CHECK_DATA(bytes == kRecords * kRecordBytes, "cifar10: ", file.string(),
                 ": expected 30730000 bytes (10,000 records of 3,073), got ", bytes);
}

// Appends a file's labels and writes its images, planes interleaved, to `pixels`.
void read_batch(const std::filesystem::path& file, std::vector<std::int32_t>* labels, std::uint8_t* pixels) {
  const std::vector<std::uint8_t> bytes = io::read_file(file);
  CLX_CHECK_DATA(bytes.size() == kRecords * kRecordBytes, "cifar10: ", file.string(),
                 " changed while it was read");
  for (std::size_t r = 0; r < kRecords; ++r) {
    const std::uint8_t* record = bytes.data() + r * kRecordBytes;
    CLX_CHECK_DATA(record[0] <= 9, "cifar10: ", file.string(), ": expected a label within 0…9 in record ", r,
                   ", got ", int{record[0]});
    labels->push_back(record[0]);
    for (std::size_t p = 0; p < kPixels; ++p)
      for (std::size_t c = 0; c < 3; ++c)
        *pixels++ = record[1 + c * kPixels + p];
  }
}

}  // namespace

Dataset load_cifar10(const std::filesystem::path& folder, Split split, const Cifar10Options& options) {
  std::vector<std::string> names = options.train_files;
  if (split == Split::test) names = {"test_batch.bin"};
  if (names.empty())
    names = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
             "data_batch_5.bin"};
  const std::filesystem::path batches = folder_of_batches(folder);
  for (const std::string& name : names)
    check_file(batches / name);

  Dataset set;
  set.name = "cifar10";
  set.class_names = {"airplane", "automobile", "bird",  "cat",  "deer",
                     "dog",      "frog",       "horse", "ship", "truck"};
  set.mean = {0.4914f, 0.4822f, 0.4465f};
  set.std = {0.2470f, 0.2435f, 0.2616f};
  const auto count = static_cast<std::int64_t>(names.size() * kRecords);
  set.images = Tensor({count, 32, 32, 3}, kCpu, DType::u8);
  set.labels.reserve(static_cast<std::size_t>(count));
  auto* pixels = set.images.mutable_data<std::uint8_t>();
  for (std::size_t i = 0; i < names.size(); ++i)
    read_batch(batches / names[i], &set.labels, pixels + i * kRecords * 3 * kPixels);
  return set;
}

}  // namespace clx::data
