// CIFAR-10 in its official binary layout.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "nn/data/dataset.h"

namespace clx::data {

struct Cifar10Options {
  std::vector<std::string>
      train_files{};  // of the training split; empty: data_batch_1.bin … data_batch_5.bin
};

/// Reads the folder `cifar-10-batches-bin` (or the folder that holds it): 50,000 training images in the
/// files' order, or 10,000 test images, 32×32 RGB.
///
/// Throws  DataError naming the file if one is missing (and where to get it) or not 30,730,000 bytes long,
///         and the record if a label is above 9
/// Source  Krizhevsky 2009, www.cs.toronto.edu/~kriz/cifar.html
Dataset load_cifar10(const std::filesystem::path& folder, Split split, const Cifar10Options& options = {});

}  // namespace clx::data
