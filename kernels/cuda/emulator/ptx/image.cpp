#include "kernels/cuda/emulator/ptx/image.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <cxxabi.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <memory>
#include <stdexcept>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace clx::emulator::ptx {
namespace {

/// The program's file in memory, for as long as it runs.
std::string_view own_file() {
  static const std::string_view file = [] {
    const int descriptor = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    struct stat status = {};
    if (descriptor < 0 || fstat(descriptor, &status) != 0)
      throw std::runtime_error("cannot read the program's own file");
    const auto bytes = static_cast<std::size_t>(status.st_size);
    void* const memory = mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, descriptor, 0);
    close(descriptor);
    if (memory == MAP_FAILED) throw std::runtime_error("cannot map the program's own file");
    return std::string_view(static_cast<const char*>(memory), bytes);
  }();
  return file;
}

template <class T>
T value_at(std::string_view bytes, std::size_t offset) {
  T value{};
  if (offset + sizeof(T) <= bytes.size()) std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

std::string_view text_at(std::string_view bytes, std::size_t offset) {
  const auto rest = bytes.substr(std::min(offset, bytes.size()));
  return rest.substr(0, rest.find('\0'));
}

std::string_view section(std::string_view name) {
  const auto file = own_file();
  const auto header = value_at<Elf64_Ehdr>(file, 0);
  const auto section_header = [&](std::size_t k) {
    return value_at<Elf64_Shdr>(file, header.e_shoff + k * header.e_shentsize);
  };
  const auto names = file.substr(section_header(header.e_shstrndx).sh_offset);
  for (std::size_t k = 0; k < header.e_shnum; ++k) {
    const auto s = section_header(k);
    if (s.sh_type != SHT_NOBITS && text_at(names, s.sh_name) == name)
      return file.substr(s.sh_offset, s.sh_size);
  }
  return {};
}

/// Where the program was loaded: what to subtract from an address to have that of its file.
std::uintptr_t load_address() {
  std::uintptr_t base = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* result) {
        *static_cast<std::uintptr_t*>(result) = info->dlpi_addr;
        return 1;  // the first is the program
      },
      &base);
  return base;
}

std::string demangled(const std::string& name) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(
      abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status), std::free);
  return status == 0 ? text.get() : name;
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != text.npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}

std::string common_name(const std::string& mangled) {
  std::string name = demangled(mangled);
  replace_all(name, "emulated_target::", "");
  replace_all(name, "cuda_target::", "");
  replace_all(name, "clx::emulator::TensorMap", "CUtensorMap_st");
  return name;
}

/// nvcc's name of an anonymous namespace holds that of the file: _GLOBAL__N__<hash>_<length>_<file>_<hash>.
std::string file_of_entry(const std::string& mangled) {
  constexpr std::string_view kAnonymous = "_GLOBAL__N__";
  const auto at = mangled.find(kAnonymous);
  if (at == mangled.npos) return "";
  const auto length_at = mangled.find('_', at + kAnonymous.size()) + 1;
  char* name = nullptr;
  const auto length = std::strtoul(mangled.c_str() + length_at, &name, 10);
  return name && *name == '_' ? std::string(name + 1).substr(0, length) : "";
}

}  // namespace

// The section is a row of containers, each a header and entries: kind, size of the entry's header, size.
std::vector<std::string_view> ptx_texts() {
  constexpr std::uint32_t kMagic = 0xBA55ED50u;
  constexpr std::uint16_t kPtx = 1;
  std::vector<std::string_view> texts;
  const auto fat = section(".nv_fatbin");
  for (std::size_t at = 0; at + 16 <= fat.size();) {
    if (value_at<std::uint32_t>(fat, at) != kMagic) {
      at += 8;
      continue;
    }
    std::size_t entry = at + value_at<std::uint16_t>(fat, at + 6);
    const std::size_t end = entry + value_at<std::uint64_t>(fat, at + 8);
    while (entry < end) {
      const auto header = value_at<std::uint32_t>(fat, entry + 4);
      const auto bytes = value_at<std::uint64_t>(fat, entry + 8);
      if (header == 0) throw std::runtime_error("this program's GPU code has an unknown form");
      if (value_at<std::uint16_t>(fat, entry) == kPtx) {
        const auto text = text_at(fat.substr(entry + header, bytes), 0);
        if (text.find(".version") == text.npos)
          throw std::runtime_error("this program's PTX is compressed: configure with CLX_TESTS=ON");
        texts.push_back(text);
      }
      entry += header + bytes;
    }
    at = end;
  }
  return texts;
}

KernelName name_of_function(const void* function) {
  const auto symbols = section(".symtab"), names = section(".strtab");
  const auto address = reinterpret_cast<std::uintptr_t>(function) - load_address();
  std::string_view file;
  for (std::size_t k = 0; k < symbols.size() / sizeof(Elf64_Sym); ++k) {
    const auto symbol = value_at<Elf64_Sym>(symbols, k * sizeof(Elf64_Sym));
    const int type = ELF64_ST_TYPE(symbol.st_info);
    if (type == STT_FILE) file = text_at(names, symbol.st_name);
    if (type != STT_FUNC || symbol.st_value != address) continue;
    const bool internal = ELF64_ST_BIND(symbol.st_info) == STB_LOCAL;
    return {common_name(std::string(text_at(names, symbol.st_name))), internal ? std::string(file) : ""};
  }
  return {};
}

KernelName name_of_entry(const std::string& mangled) {
  return {common_name(mangled), file_of_entry(mangled)};
}

}  // namespace clx::emulator::ptx
