#if defined(CLX_RACE)

#include "kernels/cuda/emulator/race_report.h"

#include <climits>
#include <cstdio>
#include <cstring>
#include <dlfcn.h>
#include <memory>
#include <unistd.h>
#include <vector>

#include "kernels/cuda/emulator/race.h"

namespace clx::emulator::race {
namespace {

constexpr std::size_t kMaxFindings = 16;
std::vector<Finding> findings;
unsigned long long total = 0;

std::string file_of(const Dl_info& info) {
  if (info.dli_fname[0] == '/') return info.dli_fname;
  char path[PATH_MAX] = {};
  return readlink("/proc/self/exe", path, sizeof path - 1) > 0 ? path : info.dli_fname;
}

std::string tidy(std::string line) {
  while (!line.empty() && line.back() == '\n')
    line.pop_back();
  if (const auto at = line.find(" (discriminator"); at != std::string::npos) line.resize(at);
  if (const auto at = line.rfind('/'); at != std::string::npos) line.erase(0, at + 1);
  return line;
}

/// "inner.h:3 <- outer.cu:48": the line and, through inlining, its callers. A return address belongs to
/// the instruction before it.
std::string lines_of(const void* pc) {
  Dl_info info;
  if (!pc || !dladdr(pc, &info) || !info.dli_fbase) return "?";
  const auto offset = static_cast<const char*>(pc) - static_cast<const char*>(info.dli_fbase) - 1;
  char command[PATH_MAX + 64];
  std::snprintf(command, sizeof command, "addr2line -i -e '%s' %#lx 2>/dev/null", file_of(info).c_str(),
                static_cast<unsigned long>(offset));
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command, "r"), pclose);
  std::string text;
  char line[PATH_MAX];
  while (pipe && std::fgets(line, sizeof line, pipe.get()))
    text += (text.empty() ? "" : " <- ") + tidy(line);
  return text.empty() ? "?" : text;
}

}  // namespace

Finding* find_noted(const char* kind, const void* pc, const void* other) {
  ++total;
  for (auto& f : findings)
    if (f.pc == pc && f.other == other && !std::strcmp(f.kind, kind)) return &f;
  return nullptr;
}

void add_noted(Finding finding) {
  if (findings.size() < kMaxFindings) findings.push_back(std::move(finding));
}

std::string take_report() {
  std::string report;
  if (total > 0) report = "race detector: " + std::to_string(total) + " finding(s)";
  for (const auto& f : findings) {
    report += std::string("\n  ") + f.kind + " (" + std::to_string(f.times) + " times): " + f.text;
    report += "\n    this access: " + lines_of(f.pc);
    if (f.other) report += "\n    other access: " + lines_of(f.other);
  }
  findings.clear();
  total = 0;
  return report;
}

}  // namespace clx::emulator::race

#endif
