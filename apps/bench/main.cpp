// clx-bench: how fast the operations and networks are, as a Markdown table.
#include <algorithm>
#include <benchmark/benchmark.h>
#include <filesystem>
#include <fmt/format.h>
#include <future>
#include <iostream>
#include <iterator>
#include <optional>
#include <regex>

#include "apps/bench/case.h"
#include "apps/bench/peaks.h"
#include "apps/bench/report.h"
#include "apps/support/options.h"
#include "apps/support/program.h"
#include "apps/support/workload.h"
#include "runtime/allocator.h"
#include "runtime/io/file.h"

namespace clx::app {
namespace {

struct Settings {
  ComputeOptions compute;
  std::string filter = ".";
  bool list = false;
  double min_time = 0.2;
  int repetitions = 5;
  bool bare = false;
  std::filesystem::path out, markdown, image_folder;
};

std::vector<Case> all_cases(Device device, const std::filesystem::path& image_folder) {
  std::vector<Case> cases;
  for (const auto& some :
       {convolution_cases, batchnorm_cases, elementwise_cases, product_cases, head_cases, supcon_cases,
        triplet_cases, augment_cases, xai_cases, ladder_cases, network_cases})
    std::ranges::move(some(device), std::back_inserter(cases));
  std::ranges::move(data_cases(device, image_folder), std::back_inserter(cases));
  return cases;
}

// As google-benchmark filters: a leading minus means all the others.
void keep_matching(const std::string& filter, std::vector<Case>* cases) {
  const bool others = filter.starts_with("-");
  try {
    const std::regex pattern(others            ? filter.substr(1)
                             : filter == "all" ? "."
                                               : filter,
                             std::regex::extended);
    std::erase_if(*cases, [&](const Case& c) { return std::regex_search(c.name, pattern) == others; });
  } catch (const std::regex_error& error) {
    throw UsageError(concat("--benchmark-filter: expected a regular expression, got ", filter));
  }
  if (cases->empty())
    throw UsageError(
        concat("--benchmark-filter: expected part of a row's name (--benchmark-list-tests shows them), got ",
               filter));
}

// Times one row; google-benchmark calls it several times, and only the first has to prepare and to check.
class Timing {
 public:
  Timing(const std::vector<Case>& cases, Device device, bool bare)
      : cases_(cases), device_(device), bare_(bare), memory_(cases.size()) {}

  /// The most memory that a row's execution took beside its operands.
  std::size_t memory(std::size_t index) const { return memory_[index]; }

  void operator()(benchmark::State& state, std::size_t index) {
    try {
      if (index_ != index) {
        workload_ = {};
        index_.reset();
        workload_ = cases_[index].prepare();
        if (!bare_) {
          workload_.check();
          memory_[index] = measure_memory();
        }
        index_ = index;
      }
    } catch (const std::exception& error) {
      state.SkipWithError(error.what());
      return;
    }
    // Work is queued on a GPU faster than it runs: many executions share one wait.
    const int together = device_.kind == DeviceKind::cuda ? 20 : 1;
    while (state.KeepRunningBatch(together)) {
      for (int i = 0; i < together; ++i)
        workload_.run();
      wait_for(device_);
    }
  }

 private:
  // A thread has scratch memory of its own: that of a new one is empty.
  std::size_t measure_memory() const {
    return std::async(std::launch::async,
                      [&] {
                        reset_memory_peak(device_);
                        const std::size_t before = memory_stats(device_).in_use;
                        workload_.run();
                        wait_for(device_);
                        return memory_stats(device_).peak - before;
                      })
        .get();
  }

  const std::vector<Case>& cases_;
  Device device_;
  bool bare_;
  std::vector<std::size_t> memory_;
  std::optional<std::size_t> index_;
  Workload workload_;
};

class MarkdownReporter : public benchmark::BenchmarkReporter {
 public:
  MarkdownReporter(const std::vector<Case>& cases,
                   Device device,
                   const Settings& settings,
                   const Timing& timing,
                   Report* report)
      : cases_(cases), device_(device), settings_(settings), timing_(timing), report_(*report) {}

  bool ReportContext(const Context&) override {
    if (settings_.bare)
      report_.begin_bare();
    else
      report_.begin(device_, measure_peaks(device_), settings_.repetitions);
    return true;
  }

  void ReportRuns(const std::vector<Run>& runs) override {
    std::vector<double> seconds;
    for (const Run& run : runs) {
      if (run.run_type == Run::RT_Aggregate) return;
      if (run.error_occurred) return report_.wrong(of(run), run.error_message);
      seconds.push_back(run.real_accumulated_time / static_cast<double>(run.iterations));
    }
    const Case& measured = of(runs.front());
    report_.row(measured, std::move(seconds), timing_.memory(std::size_t(&measured - cases_.data())));
  }

 private:
  const Case& of(const Run& run) const {
    return *std::ranges::find(cases_, run.run_name.function_name, &Case::name);
  }

  const std::vector<Case>& cases_;
  Device device_;
  const Settings& settings_;
  const Timing& timing_;
  Report& report_;
};

void initialize(const Settings& s) {
  std::vector<std::string> arguments = {"clx-bench", fmt::format("--benchmark_min_time={}", s.min_time),
                                        fmt::format("--benchmark_repetitions={}", s.repetitions)};
  if (!s.out.empty()) arguments.push_back("--benchmark_out=" + s.out.string());
  std::vector<char*> argv;
  for (std::string& argument : arguments)
    argv.push_back(argument.data());
  argv.push_back(nullptr);
  auto argc = static_cast<int>(arguments.size());
  benchmark::Initialize(&argc, argv.data());
}

int measure(const Settings& s, const std::vector<Case>& cases, Device device) {
  initialize(s);
  Timing timing(cases, device, s.bare);
  std::size_t width = 0;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    width = std::max(width, cases[i].name.size());
    benchmark::RegisterBenchmark(cases[i].name.c_str(), [&timing, i](benchmark::State& state) {
      timing(state, i);
    })->UseRealTime();
  }
  const bool libraries = std::ranges::any_of(cases, [](const Case& c) { return !c.library.empty(); });
  Report report(std::cout, width, libraries);
  MarkdownReporter reporter(cases, device, s, timing, &report);
  benchmark::RunSpecifiedBenchmarks(&reporter);
  if (!s.markdown.empty()) io::write_file(s.markdown, report.text().data(), report.text().size());
  CLX_CHECK(report.wrong_rows() == 0, "bench: expected right results, got ", report.wrong_rows(),
            " wrong rows");
  return ok;
}

int main_of_bench(int argc, char** argv) {
  Settings s;
  Options options(
      "clx-bench",
      "Checks and times operations and whole training steps, and writes a Markdown table with rates and "
      "their share of what this machine can do. Flags that google-benchmark has too have its names.");
  options.group("Rows");
  options.add("benchmark-filter", &s.filter,
              "only rows whose name matches this regular expression; -…: the others");
  options.add("benchmark-list-tests", &s.list, "only list the rows");
  options.add("image-folder", &s.image_folder,
              "folder of photos (train/<class>/…, test/<class>/…) for the rows of files_… and packed_…");
  options.group("Measuring");
  options.add("benchmark-min-time", &s.min_time, "seconds that each repetition runs at least").range(0, 3600);
  options.add("benchmark-repetitions", &s.repetitions, "how often each row is measured").range(1, 1000);
  options.add(
      "bare", &s.bare,
      "time alone: without the machine's peaks, checks and memory, so that the memory of this process is "
      "the row's");
  options.group("Results");
  options.add("markdown", &s.markdown, "file for the table, beside stdout");
  options.add("benchmark-out", &s.out, "file for every repetition as JSON");
  options.group("Computation");
  options.add("device", &s.compute.device,
              "auto (a GPU if there is one), cpu, cuda, cuda:N, or emulated (tiny sizes)");
  options.add("threads", &s.compute.threads, "CPU threads; 0: all cores").range(0, 4096);
  add_algorithm_options(options, &s.compute);
  if (const auto code = options.parse(argc, argv)) return *code;
  const Device device = start_compute(s.compute);
  std::vector<Case> cases = all_cases(device, s.image_folder);
  keep_matching(s.filter, &cases);
  if (!s.list) return measure(s, cases, device);
  for (const Case& c : cases)
    std::cout << c.name << '\n';
  return ok;
}

}  // namespace
}  // namespace clx::app

int main(int argc, char** argv) {
  return clx::app::run_program(argc, argv, clx::app::main_of_bench);
}
