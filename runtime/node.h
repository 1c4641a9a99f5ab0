// A node of the tape. Internal to the runtime.
#pragma once

#include <memory>
#include <vector>

#include "runtime/autograd.h"

namespace clx {

/// What computed a tensor: the op's inputs that have history, and the closure that maps its gradient to
/// theirs. A leaf has neither and collects its gradient.
struct Node {
  const char* op = "leaf";
  std::vector<std::shared_ptr<Node>> inputs;  // null where the input has no history
  Backward backward;                          // empty in a leaf and once freed
  Tensor gradient;                            // of a leaf
  bool leaf = false;

  Node() = default;
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
};

std::shared_ptr<Node> make_leaf();

}  // namespace clx
