#include "apps/support/progress.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <fmt/format.h>
#include <iostream>
#include <string_view>
#include <unistd.h>

namespace clx::app {

namespace {

constexpr double kRedrawSeconds = 0.1;
constexpr double kLineSeconds = 10;
constexpr double kSlowLineSeconds = 60;
constexpr int kBarCells = 24;

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

bool stderr_is_terminal() {
  const char* term = std::getenv("TERM");
  return isatty(STDERR_FILENO) && term && std::string_view(term) != "dumb";
}

}  // namespace

std::string duration_text(double seconds) {
  const std::int64_t whole = std::llround(std::max(0.0, seconds));
  if (whole >= 3600) return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

Progress::Progress(std::string label, std::int64_t total, ProgressOptions options)
    : label_(std::move(label)), total_(std::max<std::int64_t>(total, 0)), options_(std::move(options)) {
  if (!options_.stream) {
    options_.stream = &std::cerr;
    options_.terminal = stderr_is_terminal();
  }
  if (!options_.clock) options_.clock = steady_seconds;
  start_ = last_ = options_.clock();
}

Progress::~Progress() {
  if (drawn_ && !finished_) *options_.stream << '\n' << std::flush;
}

std::string Progress::line(double now, bool last) const {
  const double seconds = now - start_;
  const double share =
      total_ > 0 ? std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_)) : 1;
  const double rate = seconds > 0 ? static_cast<double>(done_) / seconds : 0;
  std::string text = label_;
  if (options_.terminal) {
    const int full = static_cast<int>(share * kBarCells);
    text += " [" + std::string(full, '=') + std::string(kBarCells - full, ' ') + "]";
  }
  text += fmt::format("  {} %  {}/{} {}", static_cast<int>(share * 100), done_, total_, options_.unit);
  if (rate > 0) text += fmt::format("  {:.{}f} {}/s", rate, rate < 10 ? 2 : 0, options_.unit);
  if (last) {
    text += "  in " + duration_text(seconds);
  } else if (rate > 0) {
    text += "  ETA " + duration_text(static_cast<double>(total_ - done_) / rate);
  }
  if (!note_.empty()) text += "  " + note_;
  return text;
}

void Progress::draw(double now, bool last) {
  if (options_.terminal) {
    *options_.stream << '\r' << line(now, last) << "\033[K" << (last ? "\n" : "") << std::flush;
    drawn_ = true;
  } else {
    *options_.stream << line(now, last) + "\n" << std::flush;
  }
  last_ = now;
  shown_ = done_;
}

void Progress::update(std::int64_t done, const std::string& note) {
  done_ = done;
  note_ = note;
  if (options_.quiet || finished_) return;
  const double now = options_.clock();
  const double waited = now - last_;
  const bool tenth = 10 * (done_ - shown_) >= total_;
  const bool due = options_.terminal ? waited >= kRedrawSeconds || !drawn_
                                     : waited >= kLineSeconds && (tenth || waited >= kSlowLineSeconds);
  if (due) draw(now, false);
}

void Progress::finish(const std::string& note) {
  if (!note.empty()) note_ = note;
  if (!options_.quiet && !finished_) draw(options_.clock(), true);
  finished_ = true;
}

}  // namespace clx::app
