// What the race detector has found, with the lines of both accesses.
#pragma once

#include <string>

namespace clx::emulator::race {

struct Finding {
  const char* kind = "";
  const void* pc = nullptr;     // of the access that showed it
  const void* other = nullptr;  // of the earlier access, null if there is none
  std::string text;
  unsigned long long times = 1;
};

Finding* find_noted(const char* kind, const void* pc, const void* other);
void add_noted(Finding);

/// Notes a finding; the same pair of places is noted once and counted. `text` is called once.
template <class F>
void note(const char* kind, const void* pc, const void* other, F&& text) {
  if (Finding* known = find_noted(kind, pc, other))
    ++known->times;
  else
    add_noted({kind, pc, other, text(), 1});
}

}  // namespace clx::emulator::race
