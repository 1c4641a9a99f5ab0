// Checkpoints that are damaged, hostile or another network's: refused by name, nothing written.
#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>

#include "tests/apps/tiny_run.h"

namespace clx {
namespace {

using nlohmann::ordered_json;

constexpr int kBadData = 3;

class BadCheckpoint : public ProgramTest {
 protected:
  BadCheckpoint() {
    train("run");
    good = text_of(root / "run/seed0/checkpoints/final.safetensors");
    std::uint64_t length = 0;
    std::memcpy(&length, good.data(), 8);
    header = ordered_json::parse(good.substr(8, length));
    data = good.substr(8 + length);
  }

  void write(const std::string& bytes) {
    io::write_file(root / "bad.safetensors", bytes.data(), bytes.size());
  }

  void write(const ordered_json& changed, const std::string& bytes) {
    const std::string text = changed.dump();
    const std::uint64_t length = text.size();
    std::string file(8, '\0');
    std::memcpy(file.data(), &length, 8);
    write(file + text + bytes);
  }

  // Both programs refuse bad.safetensors, naming it and `parts`.
  void both_refuse(std::vector<std::string> parts, const Arguments& more = {}) {
    parts.push_back("bad.safetensors");
    for (const char* program : {"clx-explain", "clx-eval"})
      refuses(program,
              Arguments{"--run", at("run"), "--checkpoint", at("bad.safetensors"), "--limit", "2",
                        "--output-dir", at("new/folder")} +
                  more,
              kBadData, parts);
  }

  std::string good, data;
  ordered_json header;
};

TEST_F(BadCheckpoint, TheUnchangedPartsMakeAGoodOne) {
  write(header, data);
  must("clx-explain", {"--run", at("run"), "--checkpoint", at("bad.safetensors"), "--limit", "2",
                       "--output-dir", at("out")});
}

TEST_F(BadCheckpoint, FilesThatAreNoSafetensorsAreRefused) {
  both_refuse({"No such file"});
  write("");
  both_refuse({"expected a safetensors file, got 0 bytes"});
  write("PK\x03\x04 a pickled state_dict of PyTorch");
  both_refuse({"expected a safetensors file"});
  write(good.substr(0, 40));
  both_refuse({"expected a header of"});
  write(good.substr(0, good.size() - 1));
  both_refuse({"bytes of data"});
  write(good + "x");
  both_refuse({"bytes of data"});
  std::string broken = good;
  broken[8] = '[';
  write(broken);
  both_refuse({"header"});
}

TEST_F(BadCheckpoint, TensorsThatOverlapOrLeaveTheFileAreRefused) {
  ordered_json overlapping = header;
  overlapping["bn1.weight"]["data_offsets"] = overlapping["bn1.bias"]["data_offsets"];
  write(overlapping, data);
  both_refuse({"bn1.", "an overlap"});
  ordered_json outside = header;
  const std::uint64_t end = data.size();
  outside["bn1.bias"]["data_offsets"] = {end, end + 16};
  write(outside, data);
  both_refuse({"expected data of"});
  ordered_json negative = header;
  negative["bn1.bias"]["data_offsets"] = {-16, 0};
  write(negative, data);
  both_refuse({"bn1.bias", "data_offsets"});
  ordered_json huge = header;
  huge["bn1.bias"]["shape"] = {std::int64_t{1} << 62, 8};
  write(huge, data);
  both_refuse({"bn1.bias", "shape"});
}

TEST_F(BadCheckpoint, MissingAndSurplusTensorsAreNamed) {
  ordered_json renamed = ordered_json::object();
  for (const auto& [name, value] : header.items())
    renamed[name == "layer2.1.conv2.weight" ? "layer2.1.conv9.weight" : name] = value;
  write(renamed, data);
  both_refuse({"layer2.1.conv2.weight", "is missing"});
  ordered_json surplus = header;
  surplus["extra"] = {{"dtype", "F32"}, {"shape", {1}}, {"data_offsets", {data.size(), data.size() + 4}}};
  write(surplus, data + std::string(4, '\0'));
  both_refuse({"has no tensor extra"});
}

TEST_F(BadCheckpoint, TensorsOfAnotherShapeAreNamedWithBothShapes) {
  ordered_json turned = header;
  turned["conv1.weight"]["shape"] = {3, 4, 3, 3};
  write(turned, data);
  both_refuse({"expected conv1.weight of shape", "(4,3,3,3)", "(3,4,3,3)"});
}

TEST_F(BadCheckpoint, AnotherArchitectureIsNamed) {
  write(good);
  both_refuse({"expected resnet32, got resnet20"}, {"--arch", "resnet32"});
  ordered_json anonymous = header;
  anonymous.erase("__metadata__");
  write(anonymous, data);
  both_refuse({"does not say its architecture", "looks like resnet20"});
  both_refuse({"of resnet32, width 0.25 is missing", "looks like resnet20 with shortcut A"},
              {"--arch", "resnet32", "--width", "0.25"});
  both_refuse({"expected conv1.weight of shape"}, {"--arch", "resnet20"});
  ordered_json wrong = header;
  wrong["__metadata__"]["arch"] = "resnet21";
  write(wrong, data);
  both_refuse({"architecture 'resnet21' is unknown", "did you mean resnet20?"});
  wrong["__metadata__"]["arch"] = "resnet20";
  wrong["__metadata__"]["width"] = "wide";
  write(wrong, data);
  both_refuse({"width", "wide"});
  for (const char* width : {"-1", "nan", "1e9"}) {
    wrong["__metadata__"]["width"] = width;
    write(wrong, data);
    both_refuse({"width"});
  }
  wrong["__metadata__"]["width"] = "0.25";
  for (const char* classes : {"0", "7", "100000", "2000000000"}) {
    wrong["__metadata__"]["classes"] = classes;
    write(wrong, data);
    both_refuse({classes});
  }
}

}  // namespace
}  // namespace clx
