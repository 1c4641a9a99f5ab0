// How far a long job is, on stderr: a bar on a terminal, now and then a line elsewhere.
#pragma once

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>

namespace clx::app {

struct ProgressOptions {
  bool quiet = false;
  std::string unit = "images";
  // Where and how to draw; the defaults are stderr and what it is connected to.
  std::ostream* stream = nullptr;
  bool terminal = false;                    // only looked at when a stream is given
  std::function<double()> clock = nullptr;  // seconds; default: the steady clock
};

/// Shows `label  45 %  450/1000 images  3100 images/s  ETA 0:12  note`. On a terminal the line is redrawn
/// in place at most ten times a second. Elsewhere a line is written when 10 s have passed since the last
/// one and either 10 % more is done or a minute has passed, and one at the end.
class Progress {
 public:
  Progress(std::string label, std::int64_t total, ProgressOptions options = {});
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `done` of `total` are finished; `note` is shown at the end of the line, as "loss 1.234".
  void update(std::int64_t done, const std::string& note = "");
  void advance(std::int64_t more, const std::string& note = "") { update(done_ + more, note); }

  /// The last line: what was done, how fast, how long it took. The destructor ends the bar without it,
  /// so that an error does not look like success.
  void finish(const std::string& note = "");

 private:
  std::string line(double now, bool last) const;
  void draw(double now, bool last);

  std::string label_, note_;
  std::int64_t total_, done_ = 0, shown_ = 0;
  ProgressOptions options_;
  double start_ = 0, last_ = 0;
  bool drawn_ = false, finished_ = false;
};

/// "0:07", "12:34", "3:02:01".
std::string duration_text(double seconds);

}  // namespace clx::app
