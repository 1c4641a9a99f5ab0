#include "nn/data/pack.h"

#include <fmt/format.h>
#include <iostream>

#include "apps/data/commands.h"
#include "apps/support/exit_code.h"
#include "apps/support/progress.h"

namespace clx::app {

int pack(const DataSettings& s) {
  if (s.data.dataset != "folder")
    throw UsageError(concat("pack: expected --dataset folder, got ", s.data.dataset));
  if (s.output.empty()) throw UsageError("output: expected the packed file to write, got none");
  if (s.pack_square && s.pack_size == 0) throw UsageError("pack-square: expected --pack-size, got none");
  const data::Dataset train = list_data(s.data, data::Split::train),
                      test = list_data(s.data, data::Split::test);
  Progress progress("pack", train.size() + test.size(), {.quiet = s.quiet});
  const data::Packed packed = data::write_pack(s.output, train, test,
                                               {.size = s.pack_size,
                                                .square = s.pack_square,
                                                .workers = s.data.workers,
                                                .on_bad = s.data.on_bad_image},
                                               [&](std::int64_t done) { progress.update(done); });
  progress.finish();
  for (const std::string& why : packed.bad_images)
    std::cerr << "left out: " << why << '\n';
  std::cout << fmt::format("{} images of {} classes, {:.1f} MiB: {}\n", packed.images,
                           train.class_names.size(), static_cast<double>(packed.bytes) / (1 << 20),
                           s.output.string());
  if (!packed.bad_images.empty())
    std::cout << fmt::format("{} bad images were left out\n", packed.bad_images.size());
  return ok;
}

}  // namespace clx::app
