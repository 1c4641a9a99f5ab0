// PNG by libpng. Its errors jump; between a setjmp and the calls that may jump lie no objects with
// destructors.
#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstring>
#include <png.h>

#include "runtime/check.h"
#include "runtime/io/codec.h"

namespace clx::io {
namespace {

// What both directions need: libpng's two structs and the text of its error.
struct Session {
  png_structp png = nullptr;
  png_infop info = nullptr;
  std::array<char, 128> error{};
};

void on_error(png_structp png, png_const_charp message) {
  Session& session = *static_cast<Session*>(png_get_error_ptr(png));
  std::strncpy(session.error.data(), message, session.error.size() - 1);
  png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}

class Reader {
 public:
  explicit Reader(std::span<const std::uint8_t> bytes) : bytes_(bytes) {
    s_.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &s_, on_error, on_warning);
    if (s_.png != nullptr) s_.info = png_create_info_struct(s_.png);
    if (s_.info == nullptr) {
      png_destroy_read_struct(&s_.png, nullptr, nullptr);
      throw std::bad_alloc();
    }
    png_set_read_fn(s_.png, this, read);
  }
  ~Reader() { png_destroy_read_struct(&s_.png, &s_.info, nullptr); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  // Up to the first pixel; sets the conversion to 8 bits without opacity.
  bool read_header() {
    if (setjmp(png_jmpbuf(s_.png)) != 0) return false;
    png_set_user_limits(s_.png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_read_info(s_.png, s_.info);
    if (png_get_color_type(s_.png, s_.info) == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(s_.png);
    png_set_expand_gray_1_2_4_to_8(s_.png);
    clips_ = png_get_bit_depth(s_.png, s_.info) == 16 &&
             png_get_color_type(s_.png, s_.info) == PNG_COLOR_TYPE_GRAY;
    if (!clips_) png_set_strip_16(s_.png);
    png_set_strip_alpha(s_.png);
    passes_ = png_set_interlace_handling(s_.png);
    png_read_update_info(s_.png, s_.info);
    return true;
  }
  bool read_pixels(std::uint8_t* pixels, std::size_t row_bytes, int height) {
    if (setjmp(png_jmpbuf(s_.png)) != 0) return false;
    for (int pass = 0; pass < passes_; ++pass)
      for (int y = 0; y < height; ++y)
        png_read_row(s_.png, pixels + static_cast<std::size_t>(y) * row_bytes, nullptr);
    png_read_end(s_.png, nullptr);
    return true;
  }

  // Whether pixels are 16-bit grey values, high byte first.
  bool clips() const { return clips_; }
  std::int64_t width() const { return png_get_image_width(s_.png, s_.info); }
  std::int64_t height() const { return png_get_image_height(s_.png, s_.info); }
  int channels() const { return png_get_channels(s_.png, s_.info); }
  std::size_t row_bytes() const { return png_get_rowbytes(s_.png, s_.info); }
  const char* error() const { return s_.error.data(); }

  std::span<const std::uint8_t> exif() const {
    png_uint_32 bytes = 0;
    png_bytep data = nullptr;
    if (png_get_eXIf_1(s_.png, s_.info, &bytes, &data) == 0 || data == nullptr) return {};
    return {data, bytes};
  }

 private:
  static void read(png_structp png, png_bytep to, std::size_t n) {
    Reader& self = *static_cast<Reader*>(png_get_io_ptr(png));
    if (n > self.bytes_.size() - self.at_) png_error(png, "the file ends early");
    std::memcpy(to, self.bytes_.data() + self.at_, n);
    self.at_ += n;
  }

  std::span<const std::uint8_t> bytes_;
  std::size_t at_ = 0;
  int passes_ = 1;
  bool clips_ = false;
  Session s_;
};

class Writer {
 public:
  Writer() {
    s_.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &s_, on_error, on_warning);
    if (s_.png != nullptr) s_.info = png_create_info_struct(s_.png);
    if (s_.info == nullptr) {
      png_destroy_write_struct(&s_.png, nullptr);
      throw std::bad_alloc();
    }
    png_set_write_fn(s_.png, this, write, [](png_structp) {});
  }
  ~Writer() { png_destroy_write_struct(&s_.png, &s_.info); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  bool encode(const Image& image, int color_type) {
    if (setjmp(png_jmpbuf(s_.png)) != 0) return false;
    png_set_IHDR(s_.png, s_.info, static_cast<png_uint_32>(image.width),
                 static_cast<png_uint_32>(image.height), 8, color_type, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(s_.png, s_.info);
    const std::size_t row_bytes =
        static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.channels);
    for (int y = 0; y < image.height; ++y)
      png_write_row(s_.png, image.pixels.data() + static_cast<std::size_t>(y) * row_bytes);
    png_write_end(s_.png, s_.info);
    return true;
  }
  const char* error() const { return s_.error.data(); }
  std::vector<std::uint8_t> take() { return std::move(bytes_); }

 private:
  // No C++ exception may pass libpng.
  static void write(png_structp png, png_bytep from, std::size_t n) {
    Writer& self = *static_cast<Writer*>(png_get_io_ptr(png));
    bool ok = true;
    try {
      self.bytes_.insert(self.bytes_.end(), from, from + n);
    } catch (const std::bad_alloc&) {
      ok = false;
    }
    if (!ok) png_error(png, "out of memory");
  }

  std::vector<std::uint8_t> bytes_;
  Session s_;
};

// Pillow's conversion of 16-bit grey: values above 255 become white.
void clip_to_bytes(std::vector<std::uint8_t>& pixels) {
  for (std::size_t i = 0; i < pixels.size() / 2; ++i)
    pixels[i] = pixels[2 * i] != 0 ? std::uint8_t{255} : pixels[2 * i + 1];
  pixels.resize(pixels.size() / 2);
}

}  // namespace

bool is_png(std::span<const std::uint8_t> bytes) {
  return bytes.size() >= 8 && png_sig_cmp(bytes.data(), 0, 8) == 0;
}

Decoded decode_png(std::span<const std::uint8_t> bytes,
                   const std::string& name,
                   const DecodeOptions& options,
                   std::vector<std::uint8_t> memory) {
  const auto check = [&](bool ok, const Reader& reader) {
    CLX_CHECK_DATA(ok, "reading ", name, ": expected a whole PNG image, got: ", reader.error());
  };
  // The size stands at a fixed place, so that it is judged before libpng reads anything else.
  if (bytes.size() >= 24 && std::memcmp(bytes.data() + 12, "IHDR", 4) == 0)
    check_size(png_get_uint_32(bytes.data() + 16), png_get_uint_32(bytes.data() + 20), name, options);
  Reader reader(bytes);
  check(reader.read_header(), reader);
  check_size(reader.width(), reader.height(), name, options);
  Decoded decoded;
  Image& image = decoded.image;
  image.pixels = std::move(memory);
  image.width = static_cast<int>(reader.width());
  image.height = static_cast<int>(reader.height());
  image.channels = reader.channels();
  image.pixels.resize(reader.row_bytes() * static_cast<std::size_t>(image.height));
  decoded.orientation = exif_orientation(reader.exif());
  check(reader.read_pixels(image.pixels.data(), reader.row_bytes(), image.height), reader);
  if (reader.clips()) clip_to_bytes(image.pixels);
  return decoded;
}

std::vector<std::uint8_t> encode_png(const Image& image) {
  CLX_CHECK(image.width >= 1 && image.height >= 1, "encode_png: expected at least 1x1 pixels, got ",
            image.width, "x", image.height);
  CLX_CHECK(image.channels == 1 || image.channels == 3 || image.channels == 4,
            "encode_png: expected 1, 3 or 4 channels, got ", image.channels);
  const std::size_t expected = static_cast<std::size_t>(image.width) *
                               static_cast<std::size_t>(image.height) *
                               static_cast<std::size_t>(image.channels);
  CLX_CHECK(image.pixels.size() == expected, "encode_png: expected ", expected, " bytes of pixels, got ",
            image.pixels.size());
  const int color_type = image.channels == 1   ? PNG_COLOR_TYPE_GRAY
                         : image.channels == 3 ? PNG_COLOR_TYPE_RGB
                                               : PNG_COLOR_TYPE_RGB_ALPHA;
  Writer writer;
  CLX_CHECK(writer.encode(image, color_type), "encode_png: ", writer.error());
  return writer.take();
}

}  // namespace clx::io
