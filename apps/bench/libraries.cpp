#include "apps/bench/libraries.h"

#include <exception>
#include <iostream>

#include "runtime/check.h"
#include "runtime/ops/conv2d.h"
#include "runtime/ops/linear.h"

namespace clx::app {
namespace {

template <class F>
bool opens(Device device, F&& require) {
  if (device.kind != DeviceKind::cuda) return false;
  try {
    require();
    return true;
  } catch (const std::exception& error) {
    std::cerr << "note: no rows of the library: " << error.what() << '\n';
    return false;
  }
}

}  // namespace

bool has_cudnn(Device device) {
  return opens(device, [&] { require_conv2d_algorithm(Conv2dAlgorithm::cudnn, device); });
}
bool has_cublas(Device device) {
  return opens(device, [&] { require_matmul_algorithm(MatmulAlgorithm::cublas, device); });
}

void add_row(const char* library, bool there, Case theirs, Case ours, std::vector<Case>* cases) {
  if (there) {
    theirs.name += concat('/', library);
    ours.library = theirs.name;
    cases->push_back(std::move(theirs));
  }
  cases->push_back(std::move(ours));
}

}  // namespace clx::app
