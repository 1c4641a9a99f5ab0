#include "apps/bench/report.h"

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <ostream>

#include "apps/support/version.h"
#include "apps/support/workload.h"
#include "runtime/check.h"

namespace clx::app {
namespace {

// Three digits, or all of a larger number: "12.3", "1234".
std::string in_digits(double value) {
  return fmt::format("{:.{}f}", value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0);
}

// Three digits and a unit: "12.3 ms".
std::string with_unit(double value, const std::string& unit) {
  struct Prefix {
    double factor;
    const char* name;
  };
  constexpr Prefix kPrefixes[] = {{1e12, "T"}, {1e9, "G"},  {1e6, "M"}, {1e3, "k"},
                                  {1, ""},     {1e-3, "m"}, {1e-6, "µ"}};
  for (const Prefix& prefix : kPrefixes)
    if (value >= prefix.factor * 0.9995) {
      return fmt::format("{} {}{}", in_digits(value / prefix.factor), prefix.name, unit);
    }
  return fmt::format("{:.3g} {}", value, unit);
}

double median(const std::vector<double>& sorted) {
  const std::size_t half = sorted.size() / 2;
  return sorted.size() % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

std::string load() {
  double average = 0;
  return getloadavg(&average, 1) == 1 ? fmt::format("{:.1f}", average) : "unknown";
}

}  // namespace

void Report::write(const std::string& text) {
  text_ += text;
  out_ << text << std::flush;
}

void Report::begin(Device device, const Peaks& peaks, int repetitions) {
  peaks_ = peaks;
  write(
      fmt::format("# Benchmarks\n\n"
                  "- machine: {}; its load when this began: {}\n"
                  "- build: {}, {}\n"
                  "- date: {:%Y-%m-%d}\n"
                  "- peaks of this run: {} (product f32), {} (product bf16), {} (copy)\n\n"
                  "Medians of {} repetitions; the spread is (slowest − fastest)/median. FLOP and bytes are "
                  "what one execution\n"
                  "needs at least: every operand moves once, intermediate results never. Rows that compute "
                  "are held against a\n"
                  "large product of square matrices of the same type (by matmul or as a 1×1 convolution, "
                  "whichever is faster),\n"
                  "rows that move memory against a copy larger than the caches; what fits into a cache can "
                  "beat that. Memory is\n"
                  "the most that one execution takes beside its operands for results and scratch, without "
                  "that of other\n"
                  "libraries. Every result was checked before it was timed.{}\n\n",
                  describe(device), load(), version(), build_description(), fmt::gmtime(std::time(nullptr)),
                  with_unit(peaks.product_f32, "FLOP/s"), with_unit(peaks.product_bf16, "FLOP/s"),
                  with_unit(peaks.copy, "B/s"), repetitions,
                  libraries_ ? " The library's speed is 1 in the column beside it." : ""));
  write_header();
}

void Report::begin_bare() {
  bare_ = true;
  write("# Times alone: nothing was checked\n\n");
  write_header();
}

void Report::write_header() {
  write(fmt::format("| {:<{}} | {:>8} | {:>6} | {:>10} | {:>8} | {:>12} | {:>17} | {:>8} | {:>8} |{}\n",
                    "what", width_, "median", "spread", "FLOP", "bytes", "rate", "of peak", "memory",
                    "images/s", libraries_ ? " of library |" : ""));
  write(fmt::format("|:{:-<{}}-|{:->9}:|{:->7}:|{:->11}:|{:->9}:|{:->13}:|{:->18}:|{:->9}:|{:->9}:|{}\n", "",
                    width_, "", "", "", "", "", "", "", "", libraries_ ? "-----------:|" : ""));
}

// The last cell of a row that is measured.
std::string Report::beside_library(const Case& c) const {
  if (!libraries_) return "";
  const auto theirs = seconds_.find(c.library);
  return fmt::format(" {:>10} |", theirs == seconds_.end()
                                      ? ""
                                      : fmt::format("{:.2f}", theirs->second / seconds_.at(c.name)));
}

void Report::row(const Case& c, std::vector<double> seconds, std::size_t memory) {
  std::ranges::sort(seconds);
  const double time = median(seconds);
  seconds_[c.name] = time;
  const bool arithmetic = c.bound == Bound::arithmetic;
  const double rate = (arithmetic ? c.flops : c.bytes) / time;
  write(fmt::format(
      "| {:<{}} | {:>8} | {:>4.0f} % | {:>10} | {:>8} | {:>12} | {:>17} | {:>8} | {:>8} |{}\n", c.name,
      width_, with_unit(time, "s"), 100 * (seconds.back() - seconds.front()) / time,
      with_unit(c.flops, "FLOP"), with_unit(c.bytes, "B"), with_unit(rate, arithmetic ? "FLOP/s" : "B/s"),
      bare_ ? "" : fmt::format("{:.0f} % of {}", 100 * rate / peaks_.of(c), arithmetic ? "product" : "copy"),
      bare_ ? "" : with_unit(static_cast<double>(memory), "B"),
      c.images > 0 ? in_digits(c.images / time) : "", beside_library(c)));
}

void Report::wrong(const Case& c, const std::string& error) {
  ++wrong_rows_;
  write(fmt::format("| {:<{}} | wrong: {} |\n", c.name, width_, error));
}

}  // namespace clx::app
