// Checkpoints: safetensors files with PyTorch's parameter names and layouts.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "nn/data/dataset.h"
#include "nn/models/resnet.h"

namespace clx::nn {

/// Writes parameters and buffers so that safetensors.torch.load_file and load_state_dict(strict=True) take
/// them: filters (K,C,R,S), num_batches_tracked included. The header's metadata says how to rebuild the
/// model: clx.version, arch, classes (or head = projection and projection, its size), width, shortcut, and of
/// `info` dataset, class_names (a JSON list), mean, std.
///
/// Throws  Error if the file cannot be written; then the earlier file, if any, is still there
void save_checkpoint(const std::filesystem::path& path, Model& model, const data::DatasetInfo& info);

/// Replaces a model's parameters and buffers by a file's, on the model's device. Accepted beside the names
/// that save_checkpoint writes: the prefixes encoder., model., backbone. and module., a head named fc or
/// linear, shortcuts named downsample or shortcut, absent num_batches_tracked, and bf16.
///
/// Throws  DataError naming the tensor if one is missing, surplus, given twice or of another shape (then
///         with both shapes), and the architecture that the file looks like, if it is another
/// Notes   Make the optimizer afterwards: the parameters are new tensors.
void load_weights(const std::filesystem::path& path, Model& model);

/// How to read a file that does not say what it holds, and where to put the model.
struct LoadOptions {
  std::string arch{};        // empty: only the file knows
  ResnetOptions resnet{};    // used with arch, where the file does not say
  data::DatasetInfo info{};  // its non-empty parts are used where the file does not say
  Device device = kCpu;
  Precision precision = Precision::f32;
};

/// The model of a file written by save_checkpoint, or of a third party's with `arch`; in evaluation mode,
/// with trained_on() set. A third party's file that holds projection.{0,2} and no classifier is taken for a
/// model with a projection head, whatever `resnet` says.
///
/// Throws  DataError if the file is missing or damaged, says neither by itself nor by `arch` what it holds,
/// or
///         says otherwise than `arch`; Error if `arch` is unknown
std::unique_ptr<Model> load_model(const std::filesystem::path& path, const LoadOptions& options = {});

}  // namespace clx::nn
