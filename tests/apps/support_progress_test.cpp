// Progress lines by a clock of the test's own, and tables.
#include <cmath>
#include <gtest/gtest.h>
#include <sstream>

#include "apps/support/progress.h"
#include "apps/support/table.h"
#include "runtime/check.h"

namespace clx::app {
namespace {

struct Screen {
  std::ostringstream text;
  double now = 100;
  ProgressOptions options(bool terminal, bool quiet = false) {
    return {quiet, "images", &text, terminal, [this] { return now; }};
  }
  std::size_t count(char c) const {
    const std::string all = text.str();
    return static_cast<std::size_t>(std::count(all.begin(), all.end(), c));
  }
};

TEST(Progress, WritesFewPlainLinesOffATerminal) {
  Screen screen;
  Progress progress("train", 1000, screen.options(false));
  for (int i = 1; i <= 1000; ++i) {
    screen.now += 0.25;  // 250 s in all: 10 % takes 25 s
    progress.update(i);
  }
  EXPECT_EQ(screen.count('\n'), 10u) << screen.text.str();
  EXPECT_EQ(screen.text.str().find('\r'), std::string::npos);
  EXPECT_TRUE(screen.text.str().starts_with("train  10 %  100/1000 images  4.00 images/s  ETA 3:45\n"));
}

TEST(Progress, WritesAPlainLineAMinuteWhenSlowAndNoneBeforeTenSecondsWhenFast) {
  Screen slow;
  Progress long_job("train", 100000, slow.options(false));
  for (int i = 1; i <= 600; ++i) {
    slow.now += 1;
    long_job.update(i);
  }
  EXPECT_EQ(slow.count('\n'), 10u);
  Screen fast;
  Progress short_job("train", 100, fast.options(false));
  for (int i = 1; i <= 100; ++i) {
    fast.now += 0.05;
    short_job.update(i, "loss 1.5");
  }
  EXPECT_EQ(fast.text.str(), "");
  short_job.finish();
  EXPECT_EQ(fast.text.str(), "train  100 %  100/100 images  20 images/s  in 0:05  loss 1.5\n");
}

TEST(Progress, RedrawsABarOnATerminal) {
  Screen screen;
  {
    Progress progress("eval", 200, screen.options(true));
    for (int i = 1; i <= 100; ++i) {
      screen.now += 0.01;
      progress.advance(1);
    }
    EXPECT_LE(screen.count('\r'), 11u);
    EXPECT_GE(screen.count('\r'), 9u);
    EXPECT_NE(screen.text.str().find("[==========              ]  45 %  91/200 images"), std::string::npos)
        << screen.text.str();
    EXPECT_EQ(screen.count('\n'), 0u);
  }
  EXPECT_EQ(screen.count('\n'), 1u) << "a bar left by an error ends its line";
}

TEST(Progress, SaysNothingWhenQuiet) {
  Screen screen;
  {
    Progress progress("train", 10, screen.options(true, true));
    screen.now += 100;
    progress.update(5);
    progress.finish();
  }
  EXPECT_EQ(screen.text.str(), "");
}

TEST(Progress, SurvivesAnEmptyJob) {
  Screen screen;
  Progress progress("train", 0, screen.options(false));
  progress.update(0);
  progress.finish();
  EXPECT_EQ(screen.text.str(), "train  100 %  0/0 images  in 0:00\n");
}

TEST(DurationText, IsReadable) {
  EXPECT_EQ(duration_text(7.4), "0:07");
  EXPECT_EQ(duration_text(754), "12:34");
  EXPECT_EQ(duration_text(10921), "3:02:01");
}

TEST(Table, AlignsNumbersRightAndTextLeft) {
  Table table({"metric", "Grad-CAM", "ø"});
  table.row({"sparseness", "0.5", "a"});
  table.row({"pf", "-12.25", "bc"});
  table.row({"nothing", "-", ""});
  EXPECT_EQ(table.to_string(),
            "metric      Grad-CAM  ø\n"
            "----------  --------  --\n"
            "sparseness       0.5  a\n"
            "pf            -12.25  bc\n"
            "nothing            -\n");
}

TEST(Table, RefusesARowOfAnotherLength) {
  Table table({"a", "b"});
  EXPECT_THROW(table.row({"1"}), Error);
}

TEST(Cell, HasFixedDigitsAndADashForNaN) {
  EXPECT_EQ(cell(0.123456), "0.1235");
  EXPECT_EQ(cell(91.7349, 2), "91.73");
  EXPECT_EQ(cell(std::nan("")), "-");
}

}  // namespace
}  // namespace clx::app
