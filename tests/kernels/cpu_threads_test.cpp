// Threads of the CPU kernels: every chunk once, exceptions, nesting, and the same bits at any count.
#include <atomic>
#include <barrier>
#include <cstring>
#include <functional>
#include <gtest/gtest.h>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

#include "kernels/batchnorm.h"
#include "kernels/conv2d.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/thread_pool.h"
#include "kernels/elementwise.h"
#include "kernels/matmul.h"
#include "kernels/softmax.h"
#include "kernels/supcon.h"
#include "kernels/triplet.h"
#include "tests/kernels/scratch.h"

namespace clx::kernels {
namespace {

class Threads : public testing::Test {
 protected:
  void TearDown() override { set_threads(before_); }
  int before_ = threads();
};

using Bytes = std::vector<unsigned char>;

template <class T>
void append(Bytes& bytes, const std::vector<T>& values) {
  const auto* p = reinterpret_cast<const unsigned char*>(values.data());
  bytes.insert(bytes.end(), p, p + values.size() * sizeof(T));
}

std::vector<float> random_floats(std::size_t n, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal(0.5f, 1.0f);
  std::vector<float> values(n);
  for (float& v : values)
    v = normal(engine);
  return values;
}

// The bytes that `compute` returns do not depend on the number of threads.
void expect_same_bits(const std::function<Bytes(const Cpu&)>& compute) {
  test::ScratchCpu cpu;
  set_threads(1);
  const Bytes one = compute(cpu());
  for (const int count : {2, 3}) {
    set_threads(count);
    EXPECT_TRUE(compute(cpu()) == one) << count << " threads";
  }
}

TEST_F(Threads, RunsEachChunkOnceAtAnyCount) {
  for (const int count : {1, 2, 5}) {
    set_threads(count);
    for (const std::int64_t chunks : {0, 1, 2, 1000}) {
      std::vector<std::atomic<int>> calls(static_cast<std::size_t>(chunks));
      parallel_for(chunks, [&](std::int64_t i) {
        EXPECT_LT(team_slot(), count);
        ++calls[static_cast<std::size_t>(i)];
      });
      for (const auto& n : calls)
        EXPECT_EQ(n, 1);
    }
  }
}

TEST_F(Threads, CutsRangesWithoutGapOrOverlap) {
  set_threads(3);
  std::vector<int> touched(1003, 0);
  parallel_ranges(1003, 10, [&](std::int64_t begin, std::int64_t end) {
    EXPECT_LE(end - begin, 10);
    for (std::int64_t i = begin; i < end; ++i)
      ++touched[static_cast<std::size_t>(i)];
  });
  EXPECT_EQ(touched, std::vector<int>(1003, 1));
}

TEST_F(Threads, ThrowsWhatTheLowestChunkThrew) {
  for (const int count : {1, 3}) {
    set_threads(count);
    for (int repeat = 0; repeat < 20; ++repeat) {
      try {
        parallel_for(100, [](std::int64_t i) {
          if (i >= 17) throw std::runtime_error("chunk " + std::to_string(i));
        });
        FAIL() << "nothing was thrown";
      } catch (const std::runtime_error& e) {
        EXPECT_STREQ(e.what(), "chunk 17");
      }
    }
    std::atomic<int> calls{0};
    parallel_for(10, [&](std::int64_t) { ++calls; });
    EXPECT_EQ(calls, 10) << "the pool works after a failure";
  }
}

TEST_F(Threads, RunsANestedLoopOnItsChunksThread) {
  set_threads(3);
  std::atomic<int> calls{0};
  parallel_for(7, [&](std::int64_t) {
    const auto outer = std::this_thread::get_id();
    EXPECT_EQ(team_size(), 1);
    parallel_for(11, [&](std::int64_t) {
      EXPECT_EQ(std::this_thread::get_id(), outer);
      EXPECT_EQ(team_slot(), 0);
      ++calls;
    });
  });
  EXPECT_EQ(calls, 77);
}

TEST_F(Threads, ATeamOfOneStaysOnItsThread) {
  set_threads(3);
  const auto here = std::this_thread::get_id();
  const OwnTeam alone(1);
  parallel_for(20, [&](std::int64_t) { EXPECT_EQ(std::this_thread::get_id(), here); });
}

TEST_F(Threads, TeamsWorkSideBySide) {
  set_threads(1);
  // Each chunk waits until all four, two of each team, have begun.
  std::barrier all(4);
  const auto work = [&] {
    {
      const OwnTeam team(2);
      EXPECT_EQ(threads(), 2);
      EXPECT_EQ(team_size(), 2);
      {
        const OwnTeam inner(3);
        EXPECT_EQ(threads(), 3);
      }
      parallel_for(2, [&](std::int64_t) {
        EXPECT_LT(team_slot(), 2);
        all.arrive_and_wait();
      });
    }
    EXPECT_EQ(threads(), 1);
  };
  std::thread other(work);
  work();
  other.join();
}

TEST_F(Threads, ServesSeveralCallersAtOnce) {
  set_threads(2);
  std::atomic<int> calls{0};
  std::vector<std::thread> callers;
  for (int t = 0; t < 4; ++t)
    callers.emplace_back([&] {
      for (int repeat = 0; repeat < 50; ++repeat)
        parallel_for(8, [&](std::int64_t) { ++calls; });
    });
  for (std::thread& caller : callers)
    caller.join();
  EXPECT_EQ(calls, 4 * 50 * 8);
}

TEST(ThreadPool, GivesEachThreadItsSlotAndRefusesWhileBusy) {
  ThreadPool pool;
  struct Seen {
    ThreadPool* pool;
    std::atomic<int> slots{0}, refused{0};
  } seen{&pool};
  for (const int count : {1, 4, 2}) {
    seen.slots = 0;
    seen.refused = 0;
    const auto job = [](void* data, int slot) {
      auto& s = *static_cast<Seen*>(data);
      s.slots += 1 << slot;
      std::thread([&] {
        s.refused += !s.pool->run(
            2, [](void*, int) {}, nullptr);
      }).join();
    };
    EXPECT_TRUE(pool.run(count, job, &seen));
    EXPECT_EQ(seen.slots, (1 << count) - 1);
    EXPECT_EQ(seen.refused, count);
  }
}

TEST_F(Threads, ChangeNoBitOfBatchNorm) {
  for (const int C : {64, 20}) {
    const BatchNormShape s{5000, C};
    const std::size_t n = 5000 * static_cast<std::size_t>(C), c = static_cast<std::size_t>(C);
    const auto x = random_floats(n, 1), dy = random_floats(n, 2), gamma = random_floats(c, 3),
               beta = random_floats(c, 4);
    expect_same_bits([&](const Cpu& cpu) {
      std::vector<float> mean(c), inv_std(c), running_mean(c), running_var(c), y(n), dx(n), dgamma(c),
          dbeta(c);
      Bytes saved(batchnorm_saved_bytes(cpu, s, true));
      const auto view = [](auto& v) { return View{const_cast<float*>(v.data()), DType::f32}; };
      batchnorm_statistics(cpu, s, view(x), 1e-5f, 0.1f, mean.data(), inv_std.data(), running_mean.data(),
                           running_var.data());
      batchnorm_apply(cpu, s, view(x), {}, gamma.data(), beta.data(), mean.data(), inv_std.data(), true,
                      view(y), saved.data());
      batchnorm_backward(cpu, s, view(x), view(dy), gamma.data(), mean.data(), inv_std.data(), true, true,
                         saved.data(), view(dx), {}, dgamma.data(), dbeta.data());
      Bytes all = saved;
      for (const auto* v : {&mean, &inv_std, &running_mean, &running_var, &y, &dx, &dgamma, &dbeta})
        append(all, *v);
      return all;
    });
  }
}

TEST_F(Threads, ChangeNoBitOfConvolution) {
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const Conv2dShape& s :
         {Conv2dShape{21, 8, 8, 64, 64, 3, 3, 1, 1},
          Conv2dShape{21, 8, 8, 64, 64, 3, 3, 1, 1, Conv2dAlgorithm::direct},
          Conv2dShape{5, 17, 15, 3, 20, 7, 7, 2, 3}, Conv2dShape{9, 14, 14, 32, 64, 1, 1, 2, 0}}) {
      const auto size = [](int a, int b, int c, int d) { return std::size_t(a) * b * c * d; };
      const std::size_t nx = size(s.N, s.H, s.W, s.C), ny = size(s.N, s.P(), s.Q(), s.K),
                        nw = size(s.K, s.R, s.S, s.C);
      const auto x32 = random_floats(nx, 1), dy32 = random_floats(ny, 2), w32 = random_floats(nw, 3);
      std::vector<float> x(nx), dy(ny), w(nw);  // room for either dtype
      const auto view = [&](std::vector<float>& v) { return View{v.data(), dtype}; };
      const auto fill_from = [&](const std::vector<float>& from, std::vector<float>& to) {
        convert(Cpu{}, static_cast<std::int64_t>(from.size()), {from.data(), DType::f32}, view(to));
      };
      fill_from(x32, x);
      fill_from(dy32, dy);
      fill_from(w32, w);
      expect_same_bits([&](const Cpu& cpu) {
        std::vector<float> y(ny), dx(nx), dw(nw);
        conv2d_forward(cpu, s, Math::f32, view(x), view(w), {}, view(y));
        conv2d_backward_data(cpu, s, Math::f32, view(dy), view(w), view(dx));
        conv2d_backward_weight(cpu, s, Math::f32, view(x), view(dy), dw.data());
        Bytes all;
        for (const auto* v : {&y, &dx, &dw})
          append(all, *v);
        return all;
      });
    }
}

TEST_F(Threads, ChangeNoBitOfMatmulAndColumnSum) {
  const MatmulShape s{301, 517, 203, false, true};
  const auto a = random_floats(301 * 203, 1), b = random_floats(517 * 203, 2), bias = random_floats(517, 3);
  expect_same_bits([&](const Cpu& cpu) {
    std::vector<float> c(301 * 517), sums(517);
    matmul(cpu, s, Math::f32, {a.data(), DType::f32}, {b.data(), DType::f32}, bias.data(), c.data());
    column_sum(cpu, 301, 517, c.data(), sums.data());
    Bytes all;
    append(all, c);
    append(all, sums);
    return all;
  });
}

TEST_F(Threads, ChangeNoBitOfSupcon) {
  for (const int N : {211, 700}) {
    const int D = 21;
    const std::size_t n = static_cast<std::size_t>(N), size = n * D;
    const auto z = random_floats(size, 1);
    std::vector<std::int32_t> labels(n);
    for (int i = 0; i < N; ++i)
      labels[static_cast<std::size_t>(i)] = i % 10;
    expect_same_bits([&](const Cpu& cpu) {
      std::vector<float> log_sum(n), pull(n), anchor_loss(n), loss(1), dz(size);
      const float one = 1;
      supcon_forward(cpu, {N, D}, z.data(), labels.data(), 0.5f, log_sum.data(), pull.data(),
                     anchor_loss.data(), loss.data());
      supcon_backward(cpu, {N, D}, z.data(), labels.data(), 0.5f, log_sum.data(), pull.data(), &one,
                      dz.data());
      Bytes all;
      for (const auto* v : {&log_sum, &pull, &anchor_loss, &loss, &dz})
        append(all, *v);
      return all;
    });
  }
}

TEST_F(Threads, ChangeNoBitOfCrossEntropy) {
  const int N = 999, K = 37;
  const auto logits = random_floats(N * K, 1);
  std::vector<std::int32_t> labels(N);
  for (int i = 0; i < N; ++i)
    labels[static_cast<std::size_t>(i)] = i % K;
  expect_same_bits([&](const Cpu& cpu) {
    std::vector<float> p(N * K), loss(1), dlogits(N * K);
    std::vector<std::int32_t> correct(1);
    const float one = 1;
    cross_entropy_forward(cpu, N, K, logits.data(), labels.data(), 0.1f, p.data(), loss.data(),
                          correct.data());
    cross_entropy_backward(cpu, N, K, p.data(), labels.data(), 0.1f, &one, dlogits.data());
    Bytes all;
    append(all, p);
    append(all, loss);
    append(all, correct);
    append(all, dlogits);
    return all;
  });
}

TEST_F(Threads, ChangeNoBitOfTheTripletLoss) {
  const int N = 199, D = 37;
  const auto x = random_floats(N * D, 1);
  for (const int classes : {1, 7})
    for (const bool hard : {false, true}) {
      std::vector<std::int32_t> labels(N);
      for (int i = 0; i < N; ++i)
        labels[static_cast<std::size_t>(i)] = i % classes;
      expect_same_bits([&](const Cpu& cpu) {
        const TripletShape s{N, D, 2.0f, hard};
        std::vector<float> laplacian(N * N), loss(1), dx(N * D);
        std::vector<std::int64_t> active(1);
        const float one = 1;
        triplet_forward(cpu, s, x.data(), labels.data(), laplacian.data(), loss.data(), active.data());
        triplet_backward(cpu, s, x.data(), laplacian.data(), &one, dx.data());
        Bytes all;
        for (const auto* v : {&laplacian, &loss, &dx})
          append(all, *v);
        append(all, active);
        return all;
      });
    }
}

// A pixel-flipping curve may not depend on how many images are scored together.
TEST_F(Threads, AndTheBatchSizeChangeNoBitOfAnImagesConvolution) {
  test::ScratchCpu cpu;
  for (const Conv2dShape& whole :
       {Conv2dShape{37, 4, 4, 64, 64, 3, 3, 1, 1},
        Conv2dShape{37, 4, 4, 64, 64, 3, 3, 1, 1, Conv2dAlgorithm::direct},
        Conv2dShape{37, 7, 7, 64, 128, 1, 1, 1, 0}, Conv2dShape{37, 8, 8, 32, 64, 3, 3, 2, 1}}) {
    const std::size_t image = std::size_t(whole.H) * whole.W * whole.C,
                      out = std::size_t(whole.P()) * whole.Q() * whole.K;
    const auto x = random_floats(37 * image, 1),
               w = random_floats(std::size_t(whole.K) * whole.R * whole.S * whole.C, 2);
    std::vector<float> together(37 * out), apart(37 * out);
    conv2d_forward(cpu(), whole, Math::f32, {x.data(), DType::f32}, {w.data(), DType::f32}, {},
                   {together.data(), DType::f32});
    for (const int batch : {1, 5}) {
      for (int n = 0; n < 37; n += batch) {
        Conv2dShape s = whole;
        s.N = std::min(batch, 37 - n);
        conv2d_forward(cpu(), s, Math::f32, {x.data() + n * image, DType::f32}, {w.data(), DType::f32}, {},
                       {apart.data() + n * out, DType::f32});
      }
      EXPECT_EQ(std::memcmp(together.data(), apart.data(), together.size() * sizeof(float)), 0)
          << "batches of " << batch;
    }
  }
}

}  // namespace
}  // namespace clx::kernels
