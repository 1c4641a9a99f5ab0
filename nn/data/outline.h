// The outlines of the procedural shapes. Internal to nn/data.
#pragma once

#include <string>
#include <vector>

namespace clx::data {

/// Names of the shapes; a shape's class is its place.
const std::vector<std::string>& outline_names();

/// Whether the point (x right, y down) lies within the shape of class `label`, which is upright, centred
/// and reaches about as far as the unit circle.
bool inside_outline(int label, float x, float y);

}  // namespace clx::data
