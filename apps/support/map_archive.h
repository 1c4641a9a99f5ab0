// Maps of a whole data set with what belongs to them, as one .npz file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "runtime/tensor.h"

namespace clx::app {

/// Text as an array of bytes: bytes(a).decode() in Python.
Tensor text_array(const std::string& text);

/// Collects maps batch by batch.
///
///   <method>           (N,H,W) f32  finished maps
///   <method>_raw       (N,h,w) f32  signed, before ReLU and scaling; of CAMs
///   <method>_all_zero  (N) u8       1: the map is zero everywhere, no explanation
///   <method>_opposed   (N) u8       1: larger where the layer is less active; of CAMs
///   <method>_noisy, <method>_contrast  (N,H,W) f32  of the image with noise, and of another class
///   idx, labels, predicted, target  (N) i64
///   config             u8           text: the options
class MapArchive {
 public:
  explicit MapArchive(std::int64_t images) : images_(images) {}

  void add(const std::string& method,
           const Tensor& maps,
           const Tensor& raw,
           const std::vector<std::uint8_t>& opposed);
  /// More maps of a method, under its name.
  void add_more(const std::string& name, const Tensor& maps) { append(name, maps); }
  void add_classes(const std::vector<std::int32_t>& labels,
                   const std::vector<std::int32_t>& predicted,
                   const std::vector<std::int32_t>& target);

  /// Throws Error if the file cannot be written.
  void write(const std::filesystem::path& file, const std::string& config) const;

 private:
  void append(const std::string& name, const Tensor& rows);
  void append(const std::string& name, const std::vector<std::int32_t>& classes);

  struct Array {
    Tensor values;
    std::int64_t rows = 0;  // filled so far
  };
  std::int64_t images_;
  std::map<std::string, Array> arrays_;
};

}  // namespace clx::app
