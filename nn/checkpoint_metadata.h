// What a checkpoint says about itself. Internal to nn.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "nn/data/dataset.h"
#include "nn/models/resnet.h"

namespace clx::nn {

/// Enough to rebuild a model before its weights are read.
struct Description {
  std::string arch;  // empty if the file does not say
  ResnetOptions resnet;
  data::DatasetInfo info;
};

std::map<std::string, std::string> to_metadata(const Description& description);

/// Throws DataError naming the file and the key if a value cannot be read or the version is a later one.
Description from_metadata(const std::filesystem::path& path,
                          const std::map<std::string, std::string>& metadata);

}  // namespace clx::nn
