#include "runtime/io/npz.h"

#include <algorithm>
#include <limits>
#include <span>
#include <zlib.h>

#include "runtime/check.h"
#include "runtime/io/checksum.h"
#include "runtime/io/npy.h"

namespace clx::io {
namespace {

constexpr std::uint32_t kLocalSignature = 0x04034b50;
constexpr std::uint32_t kCentralSignature = 0x02014b50;
constexpr std::uint32_t kEndSignature = 0x06054b50;
constexpr std::size_t kLocalBytes = 30;
constexpr std::size_t kCentralBytes = 46;
constexpr std::size_t kEndBytes = 22;
constexpr std::uint64_t kZip32Limit = 0xffffffff;
constexpr std::uint16_t kStored = 0;
constexpr std::uint16_t kDeflated = 8;
// Deflate cannot pack better than 1032 : 1.
constexpr std::uint64_t kMaxRatio = 1032;

using Bytes = std::span<const std::uint8_t>;

std::uint16_t u16_at(Bytes b, std::size_t at) {
  return static_cast<std::uint16_t>(b[at] | b[at + 1] << 8);
}
std::uint32_t u32_at(Bytes b, std::size_t at) {
  return u16_at(b, at) | static_cast<std::uint32_t>(u16_at(b, at + 2)) << 16;
}
void put(std::string& out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i)
    out += static_cast<char>(value >> (8 * i) & 0xff);
}

struct Entry {
  std::string name;
  std::uint16_t flags = 0;
  std::uint16_t method = 0;
  std::uint32_t crc = 0;
  std::uint64_t packed = 0;
  std::uint64_t unpacked = 0;
  std::uint64_t offset = 0;
};

class Archive {
 public:
  Archive(Bytes bytes, std::string where) : bytes_(bytes), where_(std::move(where)) {}

  // What the central directory, found from the file's end, lists.
  std::vector<Entry> entries() const {
    const std::size_t end = find_end();
    const std::size_t count = u16_at(bytes_, end + 10);
    const std::uint64_t begin = u32_at(bytes_, end + 16);
    const std::uint64_t length = u32_at(bytes_, end + 12);
    check(count != 0xffff && begin != kZip32Limit && length != kZip32Limit, "an archive below 4 GiB",
          "zip64");
    check(begin + length <= end, "a list of members", "one outside the file");
    std::vector<Entry> entries;
    std::uint64_t at = begin;
    for (std::size_t i = 0; i < count; ++i) {
      check(at + kCentralBytes <= end && u32_at(bytes_, at) == kCentralSignature, "a list of members",
            "a truncated one");
      Entry e;
      e.flags = u16_at(bytes_, at + 8);
      e.method = u16_at(bytes_, at + 10);
      e.crc = u32_at(bytes_, at + 16);
      e.packed = u32_at(bytes_, at + 20);
      e.unpacked = u32_at(bytes_, at + 24);
      e.offset = u32_at(bytes_, at + 42);
      const std::size_t name_length = u16_at(bytes_, at + 28);
      const std::size_t rest = std::size_t{u16_at(bytes_, at + 30)} + u16_at(bytes_, at + 32);
      check(at + kCentralBytes + name_length + rest <= end, "a list of members", "a truncated one");
      e.name.assign(reinterpret_cast<const char*>(bytes_.data()) + at + kCentralBytes, name_length);
      check(e.packed != kZip32Limit && e.unpacked != kZip32Limit && e.offset != kZip32Limit,
            "an archive below 4 GiB", "zip64");
      at += kCentralBytes + name_length + rest;
      entries.push_back(std::move(e));
    }
    return entries;
  }

  // The packed bytes of a member.
  Bytes packed(const Entry& e) const {
    check((e.flags & 1) == 0, "plain members", "an encrypted one");
    check(e.method == kStored || e.method == kDeflated, "stored or deflated members", "another compression");
    check(e.offset + kLocalBytes <= bytes_.size() && u32_at(bytes_, e.offset) == kLocalSignature, "a member",
          "none at its offset");
    const std::uint64_t data =
        e.offset + kLocalBytes + u16_at(bytes_, e.offset + 26) + u16_at(bytes_, e.offset + 28);
    check(data + e.packed <= bytes_.size(), "a whole member", "a truncated one");
    return bytes_.subspan(data, e.packed);
  }

  std::vector<std::uint8_t> unpack(const Entry& e) const {
    const Bytes from = packed(e);
    std::vector<std::uint8_t> to;
    if (e.method == kStored) {
      check(e.unpacked == e.packed, "a stored member", "two sizes for it");
      to.assign(from.begin(), from.end());
    } else {
      check(e.unpacked <= kMaxRatio * e.packed + 64, "a deflated member", "an impossible size");
      to.resize(e.unpacked);
      inflate_all(from, to);
    }
    check(crc32(to) == e.crc, "intact data", "a wrong CRC");
    return to;
  }

 private:
  void check(bool ok, const char* expected, const char* got) const {
    CLX_CHECK_DATA(ok, "reading ", where_, ": expected ", expected, ", got ", got);
  }

  // The end record lies before a comment of at most 65,535 bytes.
  std::size_t find_end() const {
    check(bytes_.size() >= kEndBytes, "a .npz archive", "a shorter file");
    const std::size_t last = bytes_.size() - kEndBytes;
    const std::size_t first = last > 0xffff ? last - 0xffff : 0;
    for (std::size_t at = last + 1; at-- > first;)
      if (u32_at(bytes_, at) == kEndSignature && at + kEndBytes + u16_at(bytes_, at + 20) == bytes_.size())
        return at;
    check(false, "a .npz archive", "a truncated one or another file");
    return 0;
  }

  // Sizes of members are below 4 GiB, so they fit zlib's counters.
  void inflate_all(Bytes from, std::vector<std::uint8_t>& to) const {
    z_stream stream{};
    check(inflateInit2(&stream, -MAX_WBITS) == Z_OK, "zlib", "no memory for it");
    std::uint8_t none = 0;
    stream.next_in = const_cast<std::uint8_t*>(from.data());
    stream.avail_in = static_cast<uInt>(from.size());
    stream.next_out = to.empty() ? &none : to.data();
    stream.avail_out = static_cast<uInt>(to.size());
    const int status = inflate(&stream, Z_FINISH);
    const bool whole = status == Z_STREAM_END && stream.avail_out == 0;
    inflateEnd(&stream);
    check(whole, "deflated data of the stated size", "damaged ones");
  }

  Bytes bytes_;
  std::string where_;
};

std::vector<std::uint8_t> deflate_all(Bytes from) {
  z_stream stream{};
  CLX_CHECK(
      deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK,
      "writing a .npz: zlib has no memory");
  std::vector<std::uint8_t> to(deflateBound(&stream, from.size()));
  stream.next_in = const_cast<std::uint8_t*>(from.data());
  stream.avail_in = static_cast<uInt>(from.size());
  stream.next_out = to.data();
  stream.avail_out = static_cast<uInt>(std::min<std::uint64_t>(to.size(), kZip32Limit));
  const int status = deflate(&stream, Z_FINISH);
  to.resize(stream.total_out);
  deflateEnd(&stream);
  CLX_CHECK(status == Z_STREAM_END, "writing a .npz: zlib could not deflate ", from.size(), " bytes");
  return to;
}

// The fields that the local header and the central directory share, from `version needed` on.
std::string shared_fields(std::uint16_t method,
                          std::uint32_t crc,
                          std::uint64_t packed,
                          std::uint64_t unpacked,
                          std::size_t name_length) {
  std::string out;
  put(out, 20, 2);       // version 2.0 unpacks it
  put(out, 1 << 11, 2);  // names are UTF-8
  put(out, method, 2);
  put(out, 0, 2);                        // time
  put(out, (0 << 9) | (1 << 5) | 1, 2);  // 1 January 1980, zip's earliest date
  put(out, crc, 4);
  put(out, packed, 4);
  put(out, unpacked, 4);
  put(out, name_length, 2);
  put(out, 0, 2);  // no extra field
  return out;
}

}  // namespace

std::map<std::string, Tensor> read_npz(const std::filesystem::path& path, std::uint64_t max_bytes) {
  const std::vector<std::uint8_t> bytes = read_file(path);
  const Archive archive(bytes, path.string());
  const std::vector<Entry> entries = archive.entries();

  // Shared bytes would let a small archive unpack without end.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> extents;
  std::uint64_t total = 0;
  for (const Entry& e : entries) {
    const Bytes packed = archive.packed(e);
    extents.emplace_back(e.offset, static_cast<std::uint64_t>(packed.data() + packed.size() - bytes.data()));
    total += e.unpacked;
  }
  std::sort(extents.begin(), extents.end());
  for (std::size_t i = 1; i < extents.size(); ++i)
    CLX_CHECK_DATA(extents[i - 1].second <= extents[i].first, "reading ", path.string(),
                   ": expected members side by side, got overlapping ones");
  CLX_CHECK_DATA(total <= max_bytes, "reading ", path.string(), ": expected at most ", max_bytes,
                 " bytes of arrays, got ", total);

  std::map<std::string, Tensor> arrays;
  for (const Entry& e : entries) {
    std::string name = e.name;
    if (name.ends_with(".npy")) name.resize(name.size() - 4);
    CLX_CHECK_DATA(!arrays.contains(name), "reading ", path.string(),
                   ": expected one array per name, got two of ", name);
    const std::string where = concat(path.string(), " (", e.name, ")");
    arrays.emplace(name, decode_npy(Archive(bytes, where).unpack(e), where));
  }
  return arrays;
}

NpzWriter::NpzWriter(const std::filesystem::path& path, NpzOptions options)
    : file_(path), options_(options) {}

void NpzWriter::append(const std::string& bytes) {
  file_.write(bytes);
  size_ += bytes.size();
}

void NpzWriter::add(const std::string& name, const Tensor& x) {
  const std::string where = concat("writing ", file_.path().string(), ": ");
  CLX_CHECK(!name.empty() && name.size() < 0xff00, where, "expected a name of 1 to 65,279 bytes, got ",
            name.size());
  CLX_CHECK(members_.size() < 0xfffe, where, "expected at most 65,534 arrays");
  Member m;
  m.name = name + ".npy";
  for (const Member& other : members_)
    CLX_CHECK(other.name != m.name, where, "expected one array per name, got two of ", name);
  const std::vector<std::uint8_t> array = encode_npy(x);
  CLX_CHECK(array.size() < kZip32Limit, where, "expected arrays below 4 GiB, got ", array.size(),
            " bytes for ", name);
  std::vector<std::uint8_t> deflated;
  if (options_.compress) deflated = deflate_all(array);
  const bool smaller = options_.compress && deflated.size() < array.size();
  const Bytes data = smaller ? deflated : array;
  CLX_CHECK(size_ + data.size() + kLocalBytes + m.name.size() < kZip32Limit, where,
            "expected less than 4 GiB in all, reached at ", name);
  m.method = smaller ? kDeflated : kStored;
  m.crc = crc32(array);
  m.packed = static_cast<std::uint32_t>(data.size());
  m.unpacked = static_cast<std::uint32_t>(array.size());
  m.offset = static_cast<std::uint32_t>(size_);
  std::string local;
  put(local, kLocalSignature, 4);
  append(local + shared_fields(m.method, m.crc, m.packed, m.unpacked, m.name.size()) + m.name);
  file_.write(data.data(), data.size());
  size_ += data.size();
  members_.push_back(std::move(m));
}

void NpzWriter::commit() {
  const std::uint64_t begin = size_;
  for (const Member& m : members_) {
    std::string central;
    put(central, kCentralSignature, 4);
    put(central, 20, 2);  // made by version 2.0
    central += shared_fields(m.method, m.crc, m.packed, m.unpacked, m.name.size());
    put(central, 0, 2);  // no comment
    put(central, 0, 2);  // first disk
    put(central, 0, 2);  // internal attributes
    put(central, 0, 4);  // external attributes
    put(central, m.offset, 4);
    append(central + m.name);
  }
  CLX_CHECK(size_ < kZip32Limit, "writing ", file_.path().string(), ": expected less than 4 GiB in all");
  std::string end;
  put(end, kEndSignature, 4);
  put(end, 0, 4);  // one disk
  put(end, members_.size(), 2);
  put(end, members_.size(), 2);
  put(end, size_ - begin, 4);
  put(end, begin, 4);
  put(end, 0, 2);  // no comment
  append(end);
  file_.commit();
}

void write_npz(const std::filesystem::path& path,
               const std::map<std::string, Tensor>& arrays,
               NpzOptions options) {
  NpzWriter writer(path, options);
  for (const auto& [name, array] : arrays)
    writer.add(name, array);
  writer.commit();
}

}  // namespace clx::io
