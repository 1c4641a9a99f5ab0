// Runs a kernel's PTX on the emulator's fibers: one interpreter per thread.
#include <array>
#include <memory>
#include <mutex>
#include <optional>

#include "kernels/cuda/emulator/compiled.h"
#include "kernels/cuda/emulator/compiled_launch.h"
#include "kernels/cuda/emulator/config.h"
#include "kernels/cuda/emulator/ptx/decode.h"
#include "kernels/cuda/emulator/ptx/image.h"
#include "kernels/cuda/emulator/ptx/module.h"
#include "kernels/cuda/emulator/ptx/thread.h"

namespace clx::emulator {
namespace ptx {
namespace {

struct Kernel {
  const Module* module = nullptr;
  const Module::Kernel* entry = nullptr;
  KernelName name;
  std::unique_ptr<Function> function;  // once it was launched
  std::uint64_t launches = 0;
};

/// All kernels of the program, and the one that a function of g++'s stands for.
class Kernels {
 public:
  static Kernels& instance() {
    static auto& kernels = *new Kernels;
    return kernels;
  }

  Kernel& find(const void* function, int target) {
    Kernel*& known = found_[{function, target}];
    if (known) return *known;
    const KernelName name = name_of_function(function);
    std::vector<Kernel*> same_name;
    for (auto& kernel : all)
      if (kernel.module->target == target && kernel.name.name == name.name) same_name.push_back(&kernel);
    if (same_name.empty())
      throw std::runtime_error("no PTX for sm_" + std::to_string(target) + " of " +
                               (name.name.empty() ? "this function" : name.name) +
                               (all.empty() ? ": this build has no nvcc" : ""));
    Kernel* best = same_name[0];
    for (Kernel* kernel : same_name)
      if (is_of(*kernel, name) && (!is_of(*best, name) || kernel->name.file.size() > best->name.file.size()))
        best = kernel;
    known = best;
    return *known;
  }

  Kernel& entry(const std::string& mangled, int target) {
    for (auto& kernel : all)
      if (kernel.module->target == target && kernel.entry->name == mangled) return kernel;
    throw std::runtime_error("no PTX for sm_" + std::to_string(target) + " of " + mangled);
  }

  static const Function& function_of(Kernel& kernel) {
    if (!kernel.function)
      kernel.function = std::make_unique<Function>(decode_kernel(*kernel.module, *kernel.entry));
    return *kernel.function;
  }

  std::vector<Kernel> all;
  std::mutex mutex;

 private:
  Kernels() {
    for (const auto text : ptx_texts())
      modules_.push_back(std::make_unique<Module>(read_module(text)));
    for (const auto& module : modules_)
      for (const auto& entry : module->kernels)
        all.push_back({module.get(), &entry, name_of_entry(entry.name), nullptr, 0});
  }

  static bool is_of(const Kernel& kernel, const KernelName& name) {
    const std::string end = "_" + kernel.name.file + ".cpp";
    return name.file.size() >= end.size() &&
           name.file.compare(name.file.size() - end.size(), end.size(), end) == 0;
  }

  std::vector<std::unique_ptr<Module>> modules_;
  std::map<std::pair<const void*, int>, Kernel*> found_;
};

struct Launch {
  const Function* function;
  unsigned char* parameters;
};

/// What a thread needs besides its stack; kept from launch to launch.
struct Belongings {
  std::vector<std::uint64_t> registers;
  std::vector<std::max_align_t> local;
  InFlight in_flight[kMaxAccumulators];
};

Belongings& belongings_of(int thread) {
  thread_local auto& all = *new std::array<std::unique_ptr<Belongings>, 1024>;
  auto& one = all[static_cast<std::size_t>(thread)];
  if (!one) one = std::make_unique<Belongings>();
  return *one;
}

std::uint64_t special_value(Special special) {
  const ThreadContext& me = *current;
  const std::uint32_t values[] = {me.thread_index.x,
                                  me.thread_index.y,
                                  me.thread_index.z,
                                  me.block_dim.x,
                                  me.block_dim.y,
                                  me.block_dim.z,
                                  me.block_index.x,
                                  me.block_index.y,
                                  me.block_index.z,
                                  me.grid_dim.x,
                                  me.grid_dim.y,
                                  me.grid_dim.z,
                                  static_cast<std::uint32_t>(me.lane),
                                  static_cast<std::uint32_t>(me.warp)};
  return values[static_cast<int>(special)];
}

std::uint64_t address_of(const Variable& v, const Launch& launch, const Thread& t) {
  switch (v.storage) {
    case Storage::parameter:
      return reinterpret_cast<std::uint64_t>(launch.parameters + v.offset);
    case Storage::static_shared:
      return shared_address(static_shared(&v, v.bytes, std::max<std::size_t>(v.alignment, 16)));
    case Storage::dynamic_shared:
      return shared_address(dynamic_shared());
    default:
      return reinterpret_cast<std::uint64_t>(t.local + v.offset);
  }
}

void run_thread(void* context) {
  const Launch& launch = *static_cast<Launch*>(context);
  const Function& f = *launch.function;
  Belongings& mine = belongings_of(current->linear);
  const std::size_t registers = f.registers + f.constants.size();
  if (mine.registers.size() < registers) mine.registers.resize(registers);
  const std::size_t local = (f.local_bytes + sizeof(std::max_align_t) - 1) / sizeof(std::max_align_t);
  if (mine.local.size() < local) mine.local.resize(local);
  if (local) std::memset(mine.local.data(), 0xFF, f.local_bytes);
  for (auto& x : mine.in_flight)
    x.used = false;

  Thread t;
  t.r = mine.registers.data();
  t.pc = f.code.data();
  t.function = &f;
  t.parameters = launch.parameters;
  t.local = reinterpret_cast<unsigned char*>(mine.local.data());
  t.in_flight = mine.in_flight;
  std::memset(t.r, 0, f.registers * sizeof *t.r);
  for (std::size_t k = 0; k < f.constants.size(); ++k) {
    const Constant& c = f.constants[k];
    t.r[f.registers + k] = c.kind == Constant::Kind::literal   ? c.value
                           : c.kind == Constant::Kind::special ? special_value(static_cast<Special>(c.value))
                                                               : address_of(f.variables[c.value], launch, t);
  }
  while (!t.done) {
    const Instruction& i = *t.pc++;
    if (i.guard != kNone && (t.r[i.guard] != 0) == i.guard_is_negated) continue;
    i.run(t, i);
  }
}

/// The kernel's parameters as its PTX lays them out. Throws where the compilers disagree on them.
void fill_parameters(const Function& f, const Argument* arguments, std::size_t count, unsigned char* block) {
  if (count != f.parameters.size()) throw std::runtime_error("its PTX has another number of parameters");
  for (std::size_t k = 0; k < count; ++k) {
    const Variable& v = f.variables[f.parameters[k]];
    if (v.bytes != arguments[k].bytes)
      throw std::runtime_error("parameter " + std::to_string(k) + " has " + std::to_string(v.bytes) +
                               " bytes in its PTX, " + std::to_string(arguments[k].bytes) + " here");
    std::memcpy(block + v.offset, arguments[k].data, v.bytes);
  }
}

/// A launch's parameters, aligned as their largest member.
class Parameters {
 public:
  explicit Parameters(const Function& f) : lines_(f.parameter_bytes / sizeof(Line) + 1) {
    constexpr std::size_t kMost = 32764;
    if (f.parameter_bytes > kMost) throw std::runtime_error("more bytes of parameters than a device allows");
  }
  unsigned char* data() { return lines_.front().bytes; }

 private:
  struct alignas(128) Line {
    unsigned char bytes[128];
  };
  std::vector<Line> lines_;
};

void check_block(const Function& f, dim3 block) {
  const std::uint64_t threads = std::uint64_t(block.x) * block.y * block.z;
  if (f.max_threads && threads > f.max_threads)
    throw std::runtime_error("a block of " + std::to_string(threads) +
                             " threads, but its __launch_bounds__ allow " + std::to_string(f.max_threads));
}

int target_of(Layer layer) {
  return layer == Layer::sm_80 ? 80 : 90;
}

}  // namespace
}  // namespace ptx

void run_compiled(Site site,
                  const void* kernel,
                  dim3 grid,
                  dim3 block,
                  std::size_t dynamic_bytes,
                  const Argument* arguments,
                  std::size_t count) {
  using namespace ptx;
  ptx::Launch launch{};
  std::optional<Parameters> parameters;
  try {
    auto& kernels = Kernels::instance();
    const std::lock_guard lock(kernels.mutex);
    auto& found = kernels.find(kernel, target_of(config().layer));
    launch.function = &Kernels::function_of(found);
    check_block(*launch.function, block);
    launch.parameters = parameters.emplace(*launch.function).data();
    fill_parameters(*launch.function, arguments, count, launch.parameters);
    ++found.launches;
  } catch (const std::runtime_error& e) {
    throw std::runtime_error(std::string("kernel launched at ") + site.file + ":" +
                             std::to_string(site.line) + ": " + e.what());
  }
  run_grid(site, grid, block, dynamic_bytes, run_thread, &launch);
}

CompiledLaunch compiled_launch(const std::string& entry,
                               int target,
                               const std::array<unsigned, 3>& grid_size,
                               const std::array<unsigned, 3>& block_size,
                               std::size_t dynamic_bytes,
                               void* const* arguments) {
  using namespace ptx;
  const dim3 grid(grid_size[0], grid_size[1], grid_size[2]),
      block(block_size[0], block_size[1], block_size[2]);
  auto& kernels = Kernels::instance();
  const std::lock_guard lock(kernels.mutex);
  Kernel& kernel = kernels.entry(entry, target);
  const Function& f = Kernels::function_of(kernel);
  check_block(f, block);
  check_launch(kernel.name.name, grid, block, dynamic_bytes);
  CompiledLaunch made{kernel.name.name, {}, 0, {}};
  const auto parameters = std::make_shared<Parameters>(f);
  for (std::size_t k = 0; k < f.parameters.size(); ++k) {
    const Variable& v = f.variables[f.parameters[k]];
    std::memcpy(parameters->data() + v.offset, arguments[k], v.bytes);
    made.parameters.push_back(v.bytes);
  }
  ++kernel.launches;
  for (const Variable& v : f.variables)
    if (v.storage == Storage::static_shared) made.static_shared += v.bytes;
  made.run = [&kernel, &f, parameters, grid, block, dynamic_bytes] {
    Launch launch{&f, parameters->data()};
    Site site;
    site.file = kernel.name.name.c_str();
    run_grid(site, grid, block, dynamic_bytes, run_thread, &launch);
  };
  return made;
}

std::vector<CompiledKernel> compiled_kernels() {
  auto& kernels = ptx::Kernels::instance();
  const std::lock_guard lock(kernels.mutex);
  std::vector<CompiledKernel> all;
  for (const auto& kernel : kernels.all)
    all.push_back({kernel.name.name, kernel.name.file, kernel.module->target, kernel.launches});
  return all;
}

std::vector<std::string> undecodable_kernels() {
  auto& kernels = ptx::Kernels::instance();
  const std::lock_guard lock(kernels.mutex);
  std::vector<std::string> reports;
  for (auto& kernel : kernels.all) {
    try {
      ptx::Kernels::function_of(kernel);
    } catch (const std::runtime_error& e) {
      reports.push_back(kernel.name.name + ": " + e.what());
    }
  }
  return reports;
}

}  // namespace clx::emulator
