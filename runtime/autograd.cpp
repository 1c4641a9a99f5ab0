#include "runtime/autograd.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "runtime/check.h"
#include "runtime/node.h"
#include "runtime/ops/add.h"

namespace clx {
namespace {

thread_local bool t_grad_enabled = true;

// The nodes that `root` depends on, each before all of its inputs.
std::vector<std::shared_ptr<Node>> consumers_first(const std::shared_ptr<Node>& root) {
  std::unordered_map<Node*, int> consumers;
  std::vector<Node*> stack{root.get()};
  consumers[root.get()] = 0;
  while (!stack.empty()) {
    Node* node = stack.back();
    stack.pop_back();
    for (const auto& input : node->inputs)
      if (input && consumers[input.get()]++ == 0) stack.push_back(input.get());
  }
  std::vector<std::shared_ptr<Node>> order{root};
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::vector<std::shared_ptr<Node>> inputs = order[i]->inputs;
    for (const auto& input : inputs)
      if (input && --consumers[input.get()] == 0) order.push_back(input);
  }
  return order;
}

struct Walk {
  std::unordered_map<Node*, Tensor> gradients;

  void give(Node* node, const Tensor& gradient) {
    const auto [at, fresh] = gradients.try_emplace(node, gradient);
    if (!fresh) at->second = add(at->second, gradient);  // gradients are immutable: never in place
  }

  Tensor take(Node* node) {
    auto taken = gradients.extract(node);
    return taken ? std::move(taken.mapped()) : Tensor();
  }

  // Runs the closures in order. `wants(node)` says whether a gradient must reach it.
  template <class Wants>
  void run(const std::vector<std::shared_ptr<Node>>& order, bool keep_graph, const Wants& wants) {
    const NoGrad no_grad;
    for (const auto& node : order) {
      const auto found = gradients.find(node.get());
      if (node->leaf || found == gradients.end()) continue;
      std::vector<bool> needed;
      for (const auto& input : node->inputs)
        needed.push_back(input && wants(input.get()));
      if (std::find(needed.begin(), needed.end(), true) != needed.end()) {
        CLX_CHECK(node->backward, "backward: the graph of ", node->op,
                  " was freed by an earlier backward; use keep_graph to differentiate it twice");
        const auto take_input = [&](std::size_t i) { return take(node->inputs[i].get()); };
        const std::vector<Tensor> dx = node->backward(found->second, Needs(needed, take_input));
        CLX_CHECK(dx.size() == node->inputs.size(), node->op, ": expected ", node->inputs.size(),
                  " gradients, got ", dx.size());
        for (std::size_t i = 0; i < dx.size(); ++i)
          if (needed[i] && dx[i].defined()) give(node->inputs[i].get(), dx[i]);
      }
      if (!keep_graph) {
        node->backward = nullptr;
        if (!kept.count(node.get())) gradients.erase(node.get());
      }
    }
  }

  std::unordered_map<Node*, bool> kept;  // whose gradients the caller asked for
};

Tensor first_gradient(const Tensor& y, const Tensor& dy) {
  if (!dy.defined()) return Tensor::full(y.shape(), 1.0f, y.device(), y.dtype());
  CLX_CHECK(dy.shape() == y.shape() && dy.dtype() == y.dtype() && dy.device() == y.device(),
            "grad: expected dy like y ", y.shape(), ", got ", dy.shape());
  return dy.detach();
}

}  // namespace

// Long chains are taken apart in a loop: a destructor that recursed would overflow the stack.
Node::~Node() {
  std::vector<std::shared_ptr<Node>> pending = std::move(inputs);
  while (!pending.empty()) {
    const std::shared_ptr<Node> node = std::move(pending.back());
    pending.pop_back();
    if (node && node.use_count() == 1) {
      for (auto& input : node->inputs)
        pending.push_back(std::move(input));
      node->inputs.clear();
    }
  }
}

std::shared_ptr<Node> make_leaf() {
  auto node = std::make_shared<Node>();
  node->leaf = true;
  return node;
}

bool grad_enabled() {
  return t_grad_enabled;
}

NoGrad::NoGrad() : before_(std::exchange(t_grad_enabled, false)) {}
NoGrad::~NoGrad() {
  t_grad_enabled = before_;
}

Tensor record(const char* op, Tensor y, std::vector<Tensor> inputs, Backward backward) {
  const bool any =
      std::any_of(inputs.begin(), inputs.end(), [](const Tensor& t) { return t.requires_grad(); });
  if (!any || !grad_enabled()) return y;
  auto node = std::make_shared<Node>();
  node->op = op;
  for (const Tensor& input : inputs)
    node->inputs.push_back(input.node());
  node->backward = std::move(backward);
  y.set_node(std::move(node));
  return y;
}

const Tensor& Saved::get(const char* op) const {
  CLX_CHECK(!tensor_.defined() || tensor_.version() == version_, op,
            ": a tensor saved for its gradient was changed in place before backward");
  return tensor_;
}

void backward(const Tensor& loss) {
  CLX_CHECK(loss.defined() && loss.requires_grad(), "backward: expected a loss that depends on a parameter");
  CLX_CHECK(loss.size() == 1, "backward: expected a loss of one element, got shape ", loss.shape());
  const auto order = consumers_first(loss.node());
  Walk walk;
  walk.give(loss.node().get(), first_gradient(loss, {}));
  for (const auto& node : order)
    if (node->leaf) walk.kept[node.get()] = true;
  walk.run(order, /*keep_graph=*/false, [](Node*) { return true; });
  const NoGrad no_grad;
  for (const auto& node : order) {
    const auto found = node->leaf ? walk.gradients.find(node.get()) : walk.gradients.end();
    if (found == walk.gradients.end()) continue;
    node->gradient = node->gradient.defined() ? add(node->gradient, found->second) : found->second;
  }
}

std::vector<Tensor> grad(const Tensor& y, const std::vector<Tensor>& xs, const GradOptions& options) {
  CLX_CHECK(y.defined() && y.requires_grad(),
            "grad: expected a result that depends on a parameter or activation");
  const auto order = consumers_first(y.node());
  Walk walk;
  for (const Tensor& x : xs)
    if (x.node()) walk.kept[x.node().get()] = true;
  // A node is on the way if one of xs lies at or below it.
  std::unordered_map<Node*, bool> on_the_way;
  for (auto it = order.rbegin(); it != order.rend(); ++it) {
    bool wanted = walk.kept.count(it->get()) > 0;
    for (const auto& input : (*it)->inputs)
      wanted = wanted || (input && on_the_way[input.get()]);
    on_the_way[it->get()] = wanted;
  }
  walk.give(y.node().get(), first_gradient(y, options.dy));
  walk.run(order, options.keep_graph, [&](Node* node) { return on_the_way[node]; });
  std::vector<Tensor> gradients;
  for (std::size_t i = 0; i < xs.size(); ++i) {
    const auto found = xs[i].node() ? walk.gradients.find(xs[i].node().get()) : walk.gradients.end();
    CLX_CHECK(found != walk.gradients.end(), "grad: the result does not depend on input ", i, " of shape ",
              xs[i].shape());
    gradients.push_back(found->second);
  }
  return gradients;
}

}  // namespace clx
