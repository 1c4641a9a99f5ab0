#include <csignal>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "runtime/check.h"
#include "runtime/io/file.h"
#include "tests/runtime/scratch_folder.h"

namespace clx::io {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string text_of(const std::filesystem::path& path) {
  const auto bytes = read_file(path);
  return {bytes.begin(), bytes.end()};
}

// What f returns in a child process, whose limits and user it may change.
template <class F>
int exit_code_of(F&& f) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(f());
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

// Whether writing 200,000 bytes ends with an Error, not a DataError, for this reason.
bool refuses(const std::filesystem::path& path, const std::string& reason) {
  try {
    AtomicFile file(path);
    for (int i = 0; i < 200; ++i)
      file.write(std::string(1000, 'x'));
    file.commit();
  } catch (const DataError&) {
    return false;
  } catch (const Error& e) {
    return e.what() == "writing " + path.string() + ": " + reason;
  }
  return false;
}

TEST(AtomicFile, AppearsWholeAtCommit) {
  const ScratchFolder folder;
  const std::string big(200'000, 'x');
  AtomicFile file(folder / "a.txt");
  file.write("begin ");
  file.write(big);
  file.write(" end");
  EXPECT_FALSE(std::filesystem::exists(folder / "a.txt"));
  file.commit();
  EXPECT_EQ(text_of(folder / "a.txt"), "begin " + big + " end");
  EXPECT_THAT(folder.names(), ElementsAre("a.txt"));
}

TEST(AtomicFile, LeavesTheOldFileWhenAbandoned) {
  const ScratchFolder folder;
  write_file(folder / "a.txt", "old", 3);
  { AtomicFile(folder / "a.txt").write("new"); }
  EXPECT_EQ(text_of(folder / "a.txt"), "old");
  EXPECT_THAT(folder.names(), ElementsAre("a.txt"));
  write_file(folder / "a.txt", "new", 3);
  EXPECT_EQ(text_of(folder / "a.txt"), "new");
}

TEST(AtomicFile, TwoWritersOfOneNameDoNotMix) {
  const ScratchFolder folder;
  const auto write = [&](char c) {
    for (int i = 0; i < 50; ++i)
      write_file(folder / "a.txt", std::string(1000, c).data(), 1000);
  };
  std::thread other(write, 'b');
  write('a');
  other.join();
  const std::string text = text_of(folder / "a.txt");
  EXPECT_EQ(text, std::string(1000, text[0]));
  EXPECT_THAT(folder.names(), ElementsAre("a.txt"));
}

TEST(AtomicFile, RefusesAMissingFolderAndAFolderAsName) {
  const ScratchFolder folder;
  EXPECT_THAT(message_of<Error>([&] { AtomicFile(folder / "no/a.txt"); }),
              HasSubstr("writing " + (folder / "no/a.txt").string() + ": No such file or directory"));
  std::filesystem::create_directory(folder / "dir");
  EXPECT_THAT(message_of<Error>([&] { AtomicFile(folder / "dir"); }), HasSubstr("Is a directory"));
  EXPECT_THROW(AtomicFile(folder / "dir/"), Error);
  EXPECT_THAT(folder.names(), ElementsAre("dir"));
}

// Root may write everywhere, so the child becomes nobody.
TEST(AtomicFile, RefusesAFolderThatIsNotWritable) {
  const ScratchFolder folder;
  std::filesystem::permissions(folder.path(), std::filesystem::perms(0555));
  const int seen = exit_code_of([&] {
    if (::geteuid() == 0 && ::setuid(65534) != 0) return 1;
    return refuses(folder / "a.txt", "Permission denied") ? 0 : 2;
  });
  std::filesystem::permissions(folder.path(), std::filesystem::perms(0755));
  EXPECT_EQ(seen, 0);
  EXPECT_THAT(folder.names(), IsEmpty());
}

TEST(AtomicFile, RefusesToWriteAfterCommit) {
  const ScratchFolder folder;
  AtomicFile file(folder / "a.txt");
  file.commit();
  EXPECT_THROW(file.write("more"), Error);
  EXPECT_THROW(file.commit(), Error);
}

// A full disk, played by a limit on the size of files.
TEST(AtomicFile, CleansUpWhenTheDiskIsFull) {
  const ScratchFolder folder;
  write_file(folder / "a.txt", "old", 3);
  const int seen = exit_code_of([&] {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{100'000, 100'000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    return refuses(folder / "a.txt", "File too large") ? 0 : 2;
  });
  EXPECT_EQ(seen, 0);
  EXPECT_EQ(text_of(folder / "a.txt"), "old");
  EXPECT_THAT(folder.names(), ElementsAre("a.txt"));
}

TEST(ReadFile, NamesTheFileAndTheReason) {
  const ScratchFolder folder;
  EXPECT_EQ(message_of<DataError>([&] { read_file(folder / "none"); }),
            "reading " + (folder / "none").string() + ": No such file or directory");
  EXPECT_THAT(message_of<DataError>([&] { read_file(folder.path()); }), HasSubstr("Is a directory"));
}

TEST(ReadFile, RefusesMoreThanTheLimit) {
  const ScratchFolder folder;
  write_file(folder / "a", "12345", 5);
  EXPECT_EQ(read_file(folder / "a", 5).size(), 5u);
  EXPECT_THAT(message_of<DataError>([&] { read_file(folder / "a", 4); }),
              HasSubstr("expected at most 4 bytes, got 5"));
  write_file(folder / "empty", nullptr, 0);
  EXPECT_THAT(read_file(folder / "empty"), IsEmpty());
}

TEST(InputFile, RefusesToReadBeyondTheEnd) {
  const ScratchFolder folder;
  write_file(folder / "a", "12345", 5);
  const InputFile file(folder / "a");
  char two[2] = {};
  file.read_at(3, two, 2);
  EXPECT_EQ(std::string(two, 2), "45");
  EXPECT_THAT(message_of<DataError>([&] { file.read_at(4, two, 2); }),
              HasSubstr("expected 2 bytes at offset 4, got 1"));
}

}  // namespace
}  // namespace clx::io
