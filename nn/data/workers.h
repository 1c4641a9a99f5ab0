// Loops over images on threads of their own. Internal to nn/data and the programs.
#pragma once

#include <cstdint>
#include <functional>

#include "nn/data/image_source.h"

namespace clx::data {

/// The number of loader threads: `workers`, or for 0 as many as the framework computes with.
int worker_count(int workers);

/// Calls f(i, memory) for i in [0, count) on `workers` threads, in no order; returns when all are done.
/// Throws what f threw for the lowest i.
void for_each_image(std::int64_t count,
                    int workers,
                    const std::function<void(std::int64_t i, ImageSource::Memory& memory)>& f);

}  // namespace clx::data
