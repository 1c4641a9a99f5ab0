// clx-data and the other programs on image folders and packed files.
#include "tests/apps/tiny_run.h"
#include "tests/nn/image_folder.h"

namespace clx {
namespace {

using testing::HasSubstr;

constexpr int kFailed = 1, kUsage = 2, kBadData = 3;

class DataPrograms : public ProgramTest {
 protected:
  void photos(bool masks = true) { tests::write_photos(root / "photos", 6, masks); }

  Arguments folder(const Arguments& more = {}) const {
    return Arguments{"--dataset", "folder", "--data-dir", at("photos")} + more;
  }
  Arguments packed(const Arguments& more = {}) const {
    return Arguments{"--dataset", "packed", "--data-dir", at("photos.clxpack")} + more;
  }
};

TEST_F(DataPrograms, VerifySaysWhatAFolderHolds) {
  photos();
  const Finished result = must("clx-data", Arguments{"verify"} + folder());
  EXPECT_THAT(result.out, HasSubstr("photos: 3 classes: cat, dog, emu\n"));
  EXPECT_THAT(result.out, HasSubstr("photos train: 15 images of 18×20…27, 5 … 5 per class"));
  EXPECT_THAT(result.out, HasSubstr("photos test: 3 images of 18×"));
  EXPECT_THAT(result.out, HasSubstr("with masks (4"));
}

TEST_F(DataPrograms, VerifyNamesEveryBadImage) {
  photos();
  tests::write_text(root / "photos/images/cat/1.png", "no image");
  tests::write_half_mask(root / "photos/masks/emu/2.png", 5, 5);
  const Finished result = run_program("clx-data", Arguments{"verify"} + folder());
  EXPECT_EQ(result.code, kBadData);
  EXPECT_THAT(result.err, HasSubstr("bad image: reading " + at("photos/images/cat/1.png")));
  EXPECT_THAT(result.err, HasSubstr("the mask of " + at("photos/images/emu/2.png")));
  EXPECT_THAT(result.err, HasSubstr("error: verify: photos has 2 images that cannot be used"));
  EXPECT_EQ(must("clx-data", Arguments{"verify"} + folder({"--on-bad-image", "skip"})).code, 0);
}

TEST_F(DataPrograms, PackWritesAFileThatVerifies) {
  photos();
  const Finished result =
      must("clx-data",
           Arguments{"pack", "--output", at("photos.clxpack"), "--pack-size", "18", "--quiet"} + folder());
  EXPECT_THAT(result.out, HasSubstr("18 images of 3 classes"));
  EXPECT_THAT(must("clx-data", Arguments{"verify"} + packed({"--image-size", "16"})).out,
              HasSubstr("photos train: 15 images of 18×20…27"));
  std::string bytes = text_of(root / "photos.clxpack");
  bytes[1000] = static_cast<char>(bytes[1000] + 1);
  tests::write_text(root / "photos.clxpack", bytes);
  refuses("clx-data", Arguments{"verify"} + packed(), kBadData,
          {at("photos.clxpack"), "a wrong checksum of"});
  tests::write_text(root / "photos.clxpack", bytes.substr(0, bytes.size() / 2));
  refuses("clx-data", Arguments{"verify"} + packed(), kBadData, {at("photos.clxpack"), "truncated"});
}

TEST_F(DataPrograms, PackRefusesWhatItCannotWrite) {
  photos();
  refuses("clx-data", Arguments{"pack"} + folder(), kUsage, {"output: expected the packed file"});
  refuses("clx-data", {"pack", "--output", at("x.clxpack")}, kUsage,
          {"pack: expected --dataset folder, got shapes"});
  refuses("clx-data", Arguments{"pack", "--output", at("none/x.clxpack"), "--quiet"} + folder(), kFailed,
          {at("none/x.clxpack")});
  tests::write_text(root / "photos/images/dog/0.png", "");
  refuses("clx-data", Arguments{"pack", "--output", at("x.clxpack"), "--quiet"} + folder(), kBadData,
          {at("photos/images/dog/0.png")});
}

TEST_F(DataPrograms, FoldersThatAreNoneAreRefused) {
  refuses("clx-data", {"verify", "--dataset", "folder"}, kUsage, {"data-dir"});
  refuses("clx-data", Arguments{"verify"} + folder(), kBadData, {at("photos"), "no such folder"});
  photos();
  std::filesystem::create_directories(root / "photos/images/fox");
  refuses("clx-train", Arguments{"--output-dir", at("run")} + folder(), kBadData,
          {at("photos/images/fox"), "an empty folder"});
  refuses("clx-data", Arguments{"verify"} + folder({"--image-size", "64", "--test-resize", "32"}), kUsage,
          {"test-resize: expected at least the image size 64, got 32"});
}

TEST_F(DataPrograms, AnExportedSetIsTheSameFolder) {
  must("clx-data",
       {"export", "--test-samples", "50", "--image-size", "16", "--output-dir", at("photos"), "--quiet"});
  EXPECT_THAT(must("clx-data", Arguments{"verify"} + folder()).out, HasSubstr("10 classes: arrow, circle"));
}

}  // namespace
}  // namespace clx
