#include "nn/data/outline.h"

#include <array>
#include <cmath>
#include <numbers>

namespace clx::data {
namespace {

struct Point {
  float x, y;
};
using Polygon = std::vector<Point>;

// Corners on circles around the centre, the first at the top; radii alternate if there are two.
Polygon radial(int corners, float outer, float inner) {
  Polygon p;
  for (int i = 0; i < corners; ++i) {
    const double angle = 2 * std::numbers::pi * i / corners;
    const float radius = i % 2 == 0 ? outer : inner;
    p.push_back(
        {radius * static_cast<float>(std::sin(angle)), -radius * static_cast<float>(std::cos(angle))});
  }
  return p;
}

// Even-odd rule.
bool inside(const Polygon& polygon, float x, float y) {
  bool odd = false;
  for (std::size_t i = 0, j = polygon.size() - 1; i < polygon.size(); j = i++) {
    const Point a = polygon[i], b = polygon[j];
    if ((a.y > y) != (b.y > y) && x < (b.x - a.x) * (y - a.y) / (b.y - a.y) + a.x) odd = !odd;
  }
  return odd;
}

bool inside_disc(float x, float y, float radius) {
  return x * x + y * y < radius * radius;
}

bool inside_heart(float x, float y) {
  const float u = 1.25f * x, v = -1.25f * y + 0.15f;
  const float s = u * u + v * v - 1;
  return s * s * s < u * u * v * v * v;
}

enum Outline { circle, square, triangle, star, cross, ring, pentagon, heart, crescent, arrow };

}  // namespace

const std::vector<std::string>& outline_names() {
  static const std::vector<std::string> names{"circle", "square",   "triangle", "star",     "cross",
                                              "ring",   "pentagon", "heart",    "crescent", "arrow"};
  return names;
}

bool inside_outline(int label, float x, float y) {
  static const Polygon three = radial(3, 1.0f, 1.0f), five = radial(5, 1.0f, 1.0f),
                       ten = radial(10, 1.05f, 0.42f);
  static const Polygon pointer{{0, -1},        {0.8f, -0.1f},  {0.3f, -0.1f}, {0.3f, 0.95f},
                               {-0.3f, 0.95f}, {-0.3f, -0.1f}, {-0.8f, -0.1f}};
  switch (static_cast<Outline>(label)) {
    case circle:
      return inside_disc(x, y, 0.9f);
    case square:
      return std::fabs(x) < 0.8f && std::fabs(y) < 0.8f;
    case triangle:
      return inside(three, x, y);
    case star:
      return inside(ten, x, y);
    case cross:
      return (std::fabs(x) < 0.3f && std::fabs(y) < 0.95f) || (std::fabs(y) < 0.3f && std::fabs(x) < 0.95f);
    case ring:
      return inside_disc(x, y, 0.95f) && !inside_disc(x, y, 0.55f);
    case pentagon:
      return inside(five, x, y);
    case heart:
      return inside_heart(x, y);
    case crescent:
      return inside_disc(x, y, 0.95f) && !inside_disc(x - 0.45f, y, 0.75f);
    case arrow:
      return inside(pointer, x, y);
  }
  return false;
}

}  // namespace clx::data
