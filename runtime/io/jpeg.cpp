// JPEG by libjpeg. Its errors jump; between a setjmp and the calls that may jump lie no objects with
// destructors.
#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <jerror.h>
#include <jpeglib.h>

#include "runtime/check.h"
#include "runtime/io/codec.h"

namespace clx::io {
namespace {

// A progressive file may hold any number of scans over the whole picture; honest ones have about ten.
constexpr int kMaxScans = 256;
constexpr int kExifMarker = JPEG_APP0 + 1;

class Reader {
 public:
  explicit Reader(std::span<const std::uint8_t> bytes) : bytes_(bytes) {
    info_.err = jpeg_std_error(&errors_);
    errors_.error_exit = on_error;
    errors_.emit_message = on_message;
    info_.client_data = this;
    progress_.progress_monitor = on_progress;
  }
  ~Reader() { jpeg_destroy_decompress(&info_); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  bool read_header() {
    if (setjmp(jump_) != 0) return false;
    jpeg_create_decompress(&info_);
    info_.client_data = this;
    info_.progress = &progress_;
    jpeg_save_markers(&info_, kExifMarker, 0xffff);
    jpeg_mem_src(&info_, bytes_.data(), static_cast<unsigned long>(bytes_.size()));
    jpeg_read_header(&info_, TRUE);
    if (info_.jpeg_color_space == JCS_GRAYSCALE)
      info_.out_color_space = JCS_GRAYSCALE;
    else if (info_.num_components == 4)
      info_.out_color_space = JCS_CMYK;
    else
      info_.out_color_space = JCS_RGB;
    return true;
  }
  bool read_pixels(std::uint8_t* pixels, std::size_t row_bytes) {
    if (setjmp(jump_) != 0) return false;
    jpeg_start_decompress(&info_);
    while (info_.output_scanline < info_.output_height) {
      JSAMPROW row = pixels + static_cast<std::size_t>(info_.output_scanline) * row_bytes;
      jpeg_read_scanlines(&info_, &row, 1);
    }
    jpeg_finish_decompress(&info_);
    return true;
  }

  int width() const { return static_cast<int>(info_.image_width); }
  int height() const { return static_cast<int>(info_.image_height); }
  int channels() const {
    return info_.out_color_space == JCS_GRAYSCALE ? 1 : info_.out_color_space == JCS_CMYK ? 4 : 3;
  }
  const char* error() const { return error_.data(); }

  std::span<const std::uint8_t> exif() const {
    constexpr std::size_t kPrefix = 6;
    for (auto* marker = info_.marker_list; marker != nullptr; marker = marker->next)
      if (marker->marker == kExifMarker && marker->data_length > kPrefix &&
          std::memcmp(marker->data, "Exif\0", kPrefix) == 0)
        return {marker->data + kPrefix, marker->data_length - kPrefix};
    return {};
  }

 private:
  [[noreturn]] void fail(const char* message) {
    std::strncpy(error_.data(), message, error_.size() - 1);
    std::longjmp(jump_, 1);
  }
  static void on_error(j_common_ptr info) {
    std::array<char, JMSG_LENGTH_MAX> message{};
    info->err->format_message(info, message.data());
    static_cast<Reader*>(info->client_data)->fail(message.data());
  }
  // libjpeg fills what is missing at the end with grey and calls it a warning.
  static void on_message(j_common_ptr info, int level) {
    if (level == -1 && info->err->msg_code == JWRN_JPEG_EOF)
      static_cast<Reader*>(info->client_data)->fail("the file ends early");
  }
  static void on_progress(j_common_ptr info) {
    if (info->is_decompressor && reinterpret_cast<j_decompress_ptr>(info)->input_scan_number > kMaxScans)
      static_cast<Reader*>(info->client_data)->fail("too many scans");
  }

  std::span<const std::uint8_t> bytes_;
  jpeg_decompress_struct info_{};
  jpeg_error_mgr errors_{};
  jpeg_progress_mgr progress_{};
  std::jmp_buf jump_{};
  std::array<char, JMSG_LENGTH_MAX> error_{};
};

}  // namespace

bool is_jpeg(std::span<const std::uint8_t> bytes) {
  return bytes.size() >= 3 && bytes[0] == 0xff && bytes[1] == 0xd8 && bytes[2] == 0xff;
}

Decoded decode_jpeg(std::span<const std::uint8_t> bytes,
                    const std::string& name,
                    const DecodeOptions& options,
                    std::vector<std::uint8_t> memory) {
  const auto check = [&](bool ok, const Reader& reader) {
    CLX_CHECK_DATA(ok, "reading ", name, ": expected a whole JPEG image, got: ", reader.error());
  };
  Reader reader(bytes);
  check(reader.read_header(), reader);
  check_size(reader.width(), reader.height(), name, options);
  Decoded decoded;
  Image& image = decoded.image;
  image.pixels = std::move(memory);
  image.width = reader.width();
  image.height = reader.height();
  image.channels = reader.channels();
  const std::size_t row_bytes =
      static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.channels);
  image.pixels.resize(row_bytes * static_cast<std::size_t>(image.height));
  decoded.orientation = exif_orientation(reader.exif());
  check(reader.read_pixels(image.pixels.data(), row_bytes), reader);
  return decoded;
}

}  // namespace clx::io
