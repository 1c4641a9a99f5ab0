// NVIDIA's libraries: how they are looked for, and what is passed to them, which libraries of our own take in
// their place (fake_cudnn.cpp, fake_cublasLt.cpp). What the real ones compute, tests/runtime compares on a
// GPU.
#include <algorithm>
#include <cstdlib>
#include <dlfcn.h>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <unistd.h>

#include "kernels/cuda/cudnn.h"
#include "kernels/cuda/library.h"
#include "kernels/matmul.h"
#include "tests/kernels/convolved.h"
#include "tests/kernels/emulated_arrays.h"
#include "tests/kernels/numbers.h"
#include "tests/kernels/whole_numbers.h"
#include "tests/paths.h"

namespace clx::kernels {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

// ------------------------------------------------------------------------------------ looking for them
const LibraryName kNowhere{.name = "Nothing",
                           .file = "libclx-nothing.so.9",
                           .variable = "CLX_TEST_LIBRARY",
                           .folders = {"nvidia/nothing/lib"},
                           .otherwise = "--without it is done"};

std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

/// Sets an environment variable while it lives.
class Environment {
 public:
  Environment(const char* name, const std::string& value) : name_(name) { ::setenv(name, value.c_str(), 1); }
  ~Environment() { ::unsetenv(name_); }

 private:
  const char* name_;
};

/// A library that is there: the file of the C library's mathematics.
fs::path libm() {
  Dl_info info = {};
  ::dladdr(::dlsym(RTLD_DEFAULT, "cos"), &info);
  return info.dli_fname;
}

TEST(GpuLibraries, MissingOneSaysWhereItWasLookedForAndWhatDoesWithout) {
  const std::string error = error_of([] { Library library(kNowhere); });
  for (const char* part :
       {"Nothing was not found", "libclx-nothing.so.9", "LD_LIBRARY_PATH", "/usr/local/cuda/lib64",
        "/site-packages/nvidia/nothing/lib", "CLX_TEST_LIBRARY=FILE", "--without it is done"})
    EXPECT_THAT(error, HasSubstr(part));
}

TEST(GpuLibraries, VariableNamesTheFile) {
  LibraryName name = kNowhere;
  name.file = "libm.so.6";
  {
    const Environment variable("CLX_TEST_LIBRARY", "/nowhere/libx.so");
    const std::string error = error_of([&] { Library library(name); });
    EXPECT_THAT(error, HasSubstr("CLX_TEST_LIBRARY: expected the library Nothing, got /nowhere/libx.so"));
    EXPECT_THAT(error, HasSubstr("--without it is done"));
  }
  double (*cosine)(double) = nullptr;
  Library(name).find("cos", &cosine);
  EXPECT_EQ(cosine(0), 1);
  EXPECT_THAT(error_of([&] { Library(name).find("cosinus", &cosine); }),
              HasSubstr("Nothing: expected the function cosinus, got none"));
}

TEST(GpuLibraries, FoundWherePythonPutsThemAndABrokenOneIsNamed) {
  const fs::path root = fs::temp_directory_path() / ("clx-libraries-" + std::to_string(::getpid()));
  const fs::path folder = root / "lib/python3.11/site-packages/nvidia/nothing/lib";
  fs::create_directories(folder);
  const Environment environment("VIRTUAL_ENV", root.string());
  std::ofstream(folder / kNowhere.file) << "not a library";
  EXPECT_THAT(error_of([] { Library library(kNowhere); }),
              HasSubstr((folder / kNowhere.file).string() + ": "));
  fs::remove(folder / kNowhere.file);
  fs::copy_file(libm(), folder / kNowhere.file);
  double (*cosine)(double) = nullptr;
  Library(kNowhere).find("cos", &cosine);
  EXPECT_EQ(cosine(0), 1);
  fs::remove_all(root);
}

// ------------------------------------------------------------------------------------ the pass after cuDNN
TEST(GpuConv2dEpilogue, AddsBiasAndResidualBeforeReluInPlace) {
  tests::EmulatedKernels gpu;
  const std::int64_t pixels = 2 * 5 * 7, n = pixels * 13;
  for (const DType dtype : {DType::f32, DType::bf16})
    for (int parts = 0; parts < 8; ++parts) {
      const tests::HostArray y = tests::normal_array(n, 1, dtype), bias = tests::normal_array(13, 2),
                             residual = tests::normal_array(n, 3, dtype);
      std::vector<double> expected = y.values();
      for (std::size_t i = 0; i < expected.size(); ++i) {
        if (parts & 1) expected[i] += bias[static_cast<std::int64_t>(i % 13)];
        if (parts & 2) expected[i] += residual[static_cast<std::int64_t>(i)];
        if (parts & 4) expected[i] = std::max(expected[i], 0.0);
      }
      Conv2dEpilogue epilogue;
      if (parts & 1) epilogue.bias = bias.as<float>();
      if (parts & 2) epilogue.residual = residual.view();
      epilogue.relu = parts & 4;
      conv2d_epilogue(gpu(), pixels, 13, epilogue, y.view());
      tests::expect_near(y, expected, 1e-6, 1e-6, name_of(dtype));
    }
}

TEST(GpuLibraries, DoNotRunOnTheEmulator) {
  tests::EmulatedKernels gpu;
  const Conv2dShape s{1, 2, 2, 1, 1, 1, 1, 1, 0, Conv2dAlgorithm::cudnn};
  EXPECT_THROW(conv2d_forward(gpu(), s, Math::f32, {}, {}, {}, {}), std::logic_error);
  EXPECT_THROW(conv2d_backward_data(gpu(), s, Math::f32, {}, {}, {}), std::logic_error);
  EXPECT_THROW(conv2d_backward_weight(gpu(), s, Math::f32, {}, {}, nullptr), std::logic_error);
  const MatmulShape product{.M = 1, .N = 1, .K = 1, .algorithm = MatmulAlgorithm::cublas};
  EXPECT_THROW(matmul(gpu(), product, Math::f32, {}, {}, nullptr, nullptr), std::logic_error);
}

// ------------------------------------------------------------------------------------ what is passed to them
#if defined(CLX_CUDA) && __has_include(<cudnn.h>) && __has_include(<cublasLt.h>)

/// A GPU's tag with scratch in host memory: enough where no kernel of ours runs.
class FakeGpu {
 public:
  FakeGpu() {
    ::setenv("CLX_CUDNN", (tests::program_dir() / "libclx_fake_cudnn.so").c_str(), 1);
    ::setenv("CLX_CUBLAS", (tests::program_dir() / "libclx_fake_cublasLt.so").c_str(), 1);
  }
  const Cuda& operator()() {
    scratch_.reset();
    return tag_;
  }

 private:
  Workspace scratch_{[](std::size_t bytes) { return std::malloc(bytes); }, [](void* p) { std::free(p); }};
  Cuda tag_{0, nullptr, &scratch_};
};

const Conv2dShape kConvolutions[] = {
    {2, 5, 7, 3, 4, 3, 3, 1, 1, Conv2dAlgorithm::cudnn},
    {1, 6, 9, 4, 2, 1, 3, 2, 0, Conv2dAlgorithm::cudnn},
    {2, 5, 7, 3, 4, 3, 3, 2, 1, Conv2dAlgorithm::cudnn},  // differs from the first in its stride alone
};

TEST(GpuLibraries, CudnnGetsNhwcImagesAndADeterministicAlgorithm) {
  FakeGpu gpu;
  for (int again = 0; again < 2; ++again)  // the second time with the plans of the first
    for (const Conv2dShape& s : kConvolutions)
      for (const DType dtype : {DType::f32, DType::bf16})
        for (const Math math : {Math::f32, Math::tf32}) {
          const std::size_t nx = std::size_t(s.N) * s.H * s.W * s.C, nw = std::size_t(s.K) * s.R * s.S * s.C,
                            ny = std::size_t(s.N) * s.P() * s.Q() * s.K;
          Numbers X(dtype, integers(nx, 1, 1)), W(dtype, integers(nw, 2, 1)), DY(dtype, integers(ny, 3, 1));
          Numbers Y(dtype, ny), DX(dtype, nx), DW(DType::f32, nw);
          const auto expected = convolved(s, X.values(), W.values(), DY.values());
          conv2d_forward(gpu(), s, math, X.view(), W.view(), {}, Y.view());
          EXPECT_EQ(Y.values(), expected.y) << name(s);
          conv2d_backward_data(gpu(), s, math, DY.view(), W.view(), DX.view());
          EXPECT_EQ(DX.values(), expected.dx) << name(s);
          if (dtype == DType::bf16) continue;  // dw is converted by a kernel of ours
          conv2d_backward_weight(gpu(), s, math, X.view(), DY.view(), DW.floats());
          EXPECT_EQ(DW.values(), expected.dw) << name(s);
        }
}

TEST(GpuLibraries, CublasGetsOurMatricesAsTheirTransposes) {
  FakeGpu gpu;
  std::mt19937 random(5);
  for (int again = 0; again < 2; ++again)
    for (int parts = 0; parts < 16; ++parts) {
      const MatmulShape s{5, 7, 3, (parts & 1) != 0, (parts & 2) != 0, MatmulAlgorithm::cublas};
      const DType dtype = parts & 4 ? DType::bf16 : DType::f32;
      const bool with_bias = parts & 8;
      const tests::Integers a = tests::random_integers(random, s.M * s.K),
                            b = tests::random_integers(random, s.K * s.N),
                            bias = tests::random_integers(random, s.N);
      tests::Integers exact;
      for (int m = 0; m < s.M; ++m)
        for (int n = 0; n < s.N; ++n) {
          std::int64_t sum = with_bias ? bias[std::size_t(n)] : 0;
          for (int k = 0; k < s.K; ++k)
            sum += a[std::size_t(s.transpose_a ? k * s.M + m : m * s.K + k)] *
                   b[std::size_t(s.transpose_b ? n * s.K + k : k * s.N + n)];
          exact.push_back(sum);
        }
      for (const int offset : {0, 1}) {
        const tests::EmulatedArray A(a, dtype, offset), B(b, dtype, 0), Bias(bias, DType::f32),
            C(s.M * s.N, DType::f32, offset);
        matmul(gpu(), s, Math::tf32, A.view(), B.view(), with_bias ? Bias.floats() : nullptr, C.floats());
        EXPECT_EQ(difference(C, exact), "") << parts;
      }
    }
}

#endif

}  // namespace
}  // namespace clx::kernels
