// The option table: command line, config file, precedence, help, every kind of usage error.
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>
#include <unistd.h>

#include "apps/support/exit_code.h"
#include "apps/support/options.h"
#include "runtime/suggest.h"

namespace clx::app {
namespace {

enum class Loss { cross_entropy, supcon };

struct Config {
  float lr = 0.1f;
  int epochs = 10;
  std::uint64_t seed = 0;
  bool augment = true, quiet = false;
  std::string device = "auto";
  std::filesystem::path output = "runs/x";
  std::vector<std::string> methods = {"gradcam", "eigencam"};
  std::vector<int> steps;
  std::optional<int> limit;
  Loss loss = Loss::cross_entropy;
};

struct Result {
  std::optional<int> code;
  std::string out, err;
};

class OptionsTest : public testing::Test {
 protected:
  OptionsTest() : options("clx-test", "Tests options.") {
    options.group("Training");
    options.add("lr", &config.lr, "initial learning rate").range(0, 1e3);
    options.add("epochs", &config.epochs, "passes over the data").range(1, 100000);
    options.add("seed", &config.seed, "seed of all randomness");
    options.add("augment", &config.augment, "crop and flip");
    options.add("quiet", &config.quiet, "no progress").letter('q');
    options.add("loss", &config.loss, {{"ce", Loss::cross_entropy}, {"supcon", Loss::supcon}},
                "what is minimised");
    options.group("Other");
    options.add("device", &config.device, "where to compute").choices({"auto", "cpu", "cuda", "emulated"});
    options.add("output-dir", &config.output, "where results go");
    options.add("methods", &config.methods, "explanations").choices({"gradcam", "eigencam", "random"});
    options.add("steps", &config.steps, "epochs at which the rate falls");
    options.add("limit", &config.limit, "number of images").range(1, 1e9);
  }
  ~OptionsTest() override { std::filesystem::remove(file()); }

  Result parse(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "clx-test");
    std::vector<const char*> argv;
    for (const std::string& argument : arguments)
      argv.push_back(argument.c_str());
    std::ostringstream out, err;
    const auto code = options.parse(static_cast<int>(argv.size()), argv.data(), out, err);
    return {code, out.str(), err.str()};
  }

  static std::string file() {
    return testing::TempDir() + "clx_options_" + std::to_string(getpid()) + ".toml";
  }

  static std::string write(const std::string& text) {
    std::ofstream(file()) << text;
    return file();
  }

  void expect_error(const std::vector<std::string>& arguments, const std::string& text) {
    const Result result = parse(arguments);
    EXPECT_EQ(result.code, usage);
    EXPECT_TRUE(result.err.starts_with("error: ")) << result.err;
    EXPECT_NE(result.err.find(text), std::string::npos) << result.err << "lacks: " << text;
    EXPECT_EQ(result.out, "");
  }

  Config config;
  Options options;
};

TEST_F(OptionsTest, KeepsDefaultsWithoutArguments) {
  const Result result = parse({});
  EXPECT_FALSE(result.code) << result.err;
  EXPECT_EQ(config.lr, 0.1f);
  EXPECT_FALSE(config.limit);
  EXPECT_FALSE(options.given("lr"));
}

TEST_F(OptionsTest, ReadsEveryKindFromTheCommandLine) {
  const Result result = parse({"--lr",
                               "5e-2",
                               "--epochs=3",
                               "--seed",
                               "18446744073709",
                               "--no-augment",
                               "-q",
                               "--loss",
                               "supcon",
                               "--device",
                               "cpu",
                               "--output-dir",
                               "a b/ü",
                               "--methods",
                               "random,gradcam",
                               "--steps",
                               "3",
                               "--steps",
                               "5,7",
                               "--limit",
                               "12"});
  ASSERT_FALSE(result.code) << result.err;
  EXPECT_EQ(config.lr, 0.05f);
  EXPECT_EQ(config.epochs, 3);
  EXPECT_EQ(config.seed, 18446744073709u);
  EXPECT_FALSE(config.augment);
  EXPECT_TRUE(config.quiet);
  EXPECT_EQ(config.loss, Loss::supcon);
  EXPECT_EQ(config.output, "a b/ü");
  EXPECT_EQ(config.methods, (std::vector<std::string>{"random", "gradcam"}));
  EXPECT_EQ(config.steps, (std::vector<int>{3, 5, 7}));
  EXPECT_EQ(config.limit, 12);
  EXPECT_TRUE(options.given("lr"));
}

TEST_F(OptionsTest, TakesTheLastOfARepeatedScalar) {
  ASSERT_FALSE(parse({"--lr", "1", "--augment", "--no-augment", "--lr=2"}).code);
  EXPECT_EQ(config.lr, 2.0f);
  EXPECT_FALSE(config.augment);
}

TEST_F(OptionsTest, AFlagMayHaveAValue) {
  ASSERT_FALSE(parse({"--augment=no", "--quiet=true"}).code);
  EXPECT_FALSE(config.augment);
  EXPECT_TRUE(config.quiet);
  ASSERT_FALSE(parse({"--no-augment=false"}).code);
  EXPECT_TRUE(config.augment);
}

TEST_F(OptionsTest, ReadsUnderscoresAsHyphensInNamesOnly) {
  ASSERT_FALSE(parse({"--output_dir=runs/my_run"}).code);
  EXPECT_EQ(config.output, "runs/my_run");
  ASSERT_FALSE(parse({"--config", write("output_dir = \"c_d\"\n")}).code);
  EXPECT_EQ(config.output, "c_d");
}

TEST_F(OptionsTest, CommandLineWinsOverConfigWinsOverDefaultForEveryOption) {
  const std::string toml =
      "lr = 2\nepochs = 20\nseed = 7\naugment = false\nquiet = true\nloss = 'supcon'\ndevice = \"cuda\"\n"
      "output-dir = 'from/file'\nmethods = ['random']\nsteps = [1, 2]\nlimit = 5\n";
  const auto file = write(toml);
  {
    ASSERT_FALSE(parse({"--config", file}).code);
    EXPECT_EQ(config.lr, 2.0f);
    EXPECT_EQ(config.epochs, 20);
    EXPECT_EQ(config.seed, 7u);
    EXPECT_FALSE(config.augment);
    EXPECT_TRUE(config.quiet);
    EXPECT_EQ(config.loss, Loss::supcon);
    EXPECT_EQ(config.device, "cuda");
    EXPECT_EQ(config.output, "from/file");
    EXPECT_EQ(config.methods, (std::vector<std::string>{"random"}));
    EXPECT_EQ(config.steps, (std::vector<int>{1, 2}));
    EXPECT_EQ(config.limit, 5);
  }
  ASSERT_FALSE(parse({"--lr",    "3",  "--epochs", "30",  "--seed",       "8",  "--augment", "--no-quiet",
                      "--loss",  "ce", "--device", "cpu", "--output-dir", "cl", "--methods", "gradcam",
                      "--steps", "9",  "--limit",  "6",   "--config",     file})
                   .code);
  EXPECT_EQ(config.lr, 3.0f);
  EXPECT_EQ(config.epochs, 30);
  EXPECT_EQ(config.seed, 8u);
  EXPECT_TRUE(config.augment);
  EXPECT_FALSE(config.quiet);
  EXPECT_EQ(config.loss, Loss::cross_entropy);
  EXPECT_EQ(config.device, "cpu");
  EXPECT_EQ(config.output, "cl");
  EXPECT_EQ(config.methods, (std::vector<std::string>{"gradcam"}));
  EXPECT_EQ(config.steps, (std::vector<int>{9}));
  EXPECT_EQ(config.limit, 6);
}

TEST_F(OptionsTest, PrintedConfigReadBackPrintsTheSame) {
  const Result first = parse({"--print-config", "--lr", "0.30000001", "--output-dir", "a\"b\\c\n\x01 ü",
                              "--steps", "1,2", "--loss", "supcon", "--no-augment"});
  EXPECT_EQ(first.code, ok);
  EXPECT_NE(first.out.find("lr = 0.3"), std::string::npos);
  EXPECT_NE(first.out.find("# limit is not set"), std::string::npos);
  Config other_config;
  std::swap(config, other_config);
  const Result second = parse({"--config", write(first.out), "--print-config"});
  EXPECT_EQ(second.code, ok) << second.err;
  EXPECT_EQ(second.out, first.out);
}

TEST_F(OptionsTest, PrintedDefaultsAreAValidConfig) {
  const Result first = parse({"--print-config"});
  const Result second = parse({"--config", write(first.out), "--print-config"});
  EXPECT_EQ(second.code, ok) << second.err;
  EXPECT_EQ(second.out, first.out);
}

TEST_F(OptionsTest, HelpNamesEveryOptionWithDefaultBoundsAndExitCodes) {
  const Result result = parse({"--lr", "nonsense", "--help"});
  EXPECT_EQ(result.code, ok);
  for (const char* text : {"--lr <number>", "initial learning rate; 0 … 1000 (default 0.1)", "--epochs <int>",
                           "--device <auto|cpu|cuda|emulated>", "(default \"auto\")", "-q, --quiet",
                           "--steps <int,…>", "Training", "--loss <ce|supcon>", "(default \"ce\")",
                           "--config", "--print-config", "--version", "130 interrupted", "75 stopped"}) {
    EXPECT_NE(result.out.find(text), std::string::npos) << text << " is missing in\n" << result.out;
  }
}

TEST_F(OptionsTest, VersionNamesTheProgram) {
  const Result result = parse({"--version"});
  EXPECT_EQ(result.code, ok);
  EXPECT_TRUE(result.out.starts_with("clx-test 0.")) << result.out;
}

TEST_F(OptionsTest, RefusesUnknownFlagsWithASuggestion) {
  expect_error({"--lrr", "0.1"}, "unknown flag --lrr; did you mean --lr?");
  expect_error({"--epoch=3"}, "unknown flag --epoch; did you mean --epochs?");
  expect_error({"--output"}, "did you mean --output-dir?");
  expect_error({"--no-agument"}, "did you mean --no-augment?");
  expect_error({"-z"}, "unknown flag -z");
  expect_error({"stray"}, "unexpected argument stray");
}

TEST_F(OptionsTest, RefusesBadValues) {
  expect_error({"--lr", "fast"}, "--lr: expected a number, got fast");
  expect_error({"--lr", "0.1x"}, "expected a number, got 0.1x");
  expect_error({"--lr", "nan"}, "expected a finite number, got nan");
  expect_error({"--lr", "-1"}, "--lr: expected 0 … 1000, got -1");
  expect_error({"--lr="}, "--lr");
  expect_error({"--lr"}, "--lr");
  expect_error({"--epochs", "1.5"}, "expected a whole number, got 1.5");
  expect_error({"--epochs", "99999999999"}, "--epochs");
  expect_error({"--epochs", "0"}, "--epochs: expected 1 … 100000, got 0");
  expect_error({"--seed", "-1"}, "--seed: expected a whole number ≥ 0, got -1");
  expect_error({"--device", "cdua"},
               "expected auto or cpu or cuda or emulated, got cdua; did you mean cuda?");
  expect_error({"--methods", "gradcam,gradcma"}, "did you mean gradcam?");
  expect_error({"--loss", "CE"}, "expected ce or supcon, got CE");
  expect_error({"--augment=maybe"}, "--augment: expected true or false, got maybe");
}

TEST_F(OptionsTest, RefusesBadConfigsNamingTheLine) {
  expect_error({"--config", write("epochs = 3\nlrr = 1\n")}, ":2: unknown key lrr; did you mean --lr?");
  expect_error({"--config", write("[train]\nlr = 1\n")}, "unknown key train");
  expect_error({"--config", write("lr = \"0.1\"\n")}, ":1: lr: expected a number, got '0.1'");
  expect_error({"--config", write("epochs = 3.0\n")}, "epochs: expected a whole number, got 3.0");
  expect_error({"--config", write("augment = 1\n")}, "augment: expected true or false, got 1");
  expect_error({"--config", write("lr = 2000\n")}, ":1: lr: expected 0 … 1000, got 2000");
  expect_error({"--config", write("lr = [1]\n")}, "lr: expected a number");
  expect_error({"--config", write("lr = nan\n")}, "lr: expected a finite number");
  expect_error({"--config", write("output-dir = 'a'\noutput_dir = 'b'\n")}, "set twice");
  expect_error({"--config", write("epochs = 3\nlr = = 1\n")}, ":2: ");
  expect_error({"--config", "no/such.toml"}, "no/such.toml: No such file");
  expect_error({"--config", testing::TempDir()}, "config ");
}

TEST_F(OptionsTest, RequiredAndPositionalOptions) {
  std::string run;
  std::vector<std::string> files;
  options.add("run", &run, "the run folder").required();
  options.positional("file", &files, "files to check");
  expect_error({}, "missing --run: the run folder");
  const Result result = parse({"--run", "r", "a", "b,c"});
  ASSERT_FALSE(result.code) << result.err;
  EXPECT_EQ(files, (std::vector<std::string>{"a", "b,c"}));
  EXPECT_NE(options.help().find("Usage: clx-test [options] [file …]"), std::string::npos) << options.help();
}

TEST_F(OptionsTest, InheritedValuesStandBelowConfigAndCommandLine) {
  std::string run;
  options.add("run", &run, "the run folder");
  options.inherit("run", {"lr", "device", "seed"}, [](const std::string& text) { return text; });
  const std::string inherited = file() + ".run";
  std::ofstream(inherited) << "lr = 7\ndevice = 'cpu'\nepochs = 99\nunknown-here = 1\nseed = 3\n";
  const Result result = parse({"--run", inherited, "--config", write("seed = 4\n"), "--device", "cuda"});
  std::filesystem::remove(inherited);
  ASSERT_FALSE(result.code) << result.err;
  EXPECT_EQ(config.lr, 7.0f);
  EXPECT_EQ(config.seed, 4u);
  EXPECT_EQ(config.device, "cuda");
  EXPECT_EQ(config.epochs, 10) << "not among the inherited names";
  EXPECT_FALSE(options.given("lr"));
}

TEST(Options, RefusesTheSameNameTwice) {
  Options options("p", "s");
  int x = 0;
  options.add("x", &x, "x");
  EXPECT_THROW(options.add("x", &x, "x"), Error);
  EXPECT_THROW(options.inherit("x", {"y"}, nullptr), Error);
  EXPECT_THROW((void)options.given("z"), Error);
}

TEST(EditDistance, CountsInsertionsDeletionsReplacementsAndSwaps) {
  EXPECT_EQ(edit_distance("", "abc"), 3);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
  EXPECT_EQ(edit_distance("cdua", "cuda"), 1);
  EXPECT_EQ(edit_distance("lr", "lr"), 0);
}

TEST(Closest, SuggestsNothingForSomethingElse) {
  EXPECT_EQ(closest("banana", {"lr", "epochs"}), "");
  EXPECT_EQ(closest("batch", {"lr", "batch-size"}), "batch-size");
  EXPECT_EQ(closest("x", {}), "");
}

}  // namespace
}  // namespace clx::app
