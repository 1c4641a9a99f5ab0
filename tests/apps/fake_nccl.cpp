// NCCL between processes whose GPUs are stand-ins (tests/stand_in/gpu.h): device memory is the host's, and
// what is sent goes through a shared file.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <cuda_runtime.h>
#include <fcntl.h>
#include <nccl.h>
#include <string>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

constexpr int kMostRanks = 8;
constexpr std::size_t kChunk = 1 << 16;

// From one rank to another: one chunk at a time.
struct Mailbox {
  std::atomic<std::uint32_t> bytes;  // 0: empty
  char data[kChunk];
};

struct Operation {
  Mailbox* mailbox;
  char* data;
  std::size_t left;
  bool sends;

  // Whether it could do something.
  bool step() {
    const std::size_t waiting = mailbox->bytes.load(std::memory_order_acquire);
    if (left == 0 || sends == (waiting != 0)) return false;
    const std::size_t n = sends ? std::min(left, kChunk) : waiting;
    if (sends)
      std::memcpy(mailbox->data, data, n);
    else
      std::memcpy(data, mailbox->data, n);
    data += n;
    left -= n;
    mailbox->bytes.store(sends ? static_cast<std::uint32_t>(n) : 0, std::memory_order_release);
    return true;
  }
};

std::vector<Operation> group;
std::vector<cudaStream_t> streams;

}  // namespace

struct ncclComm {
  std::string file;
  int rank = 0;
  Mailbox (*mailboxes)[kMostRanks] = nullptr;  // [from][to]
};

extern "C" {

const char* ncclGetErrorString(ncclResult_t result) {
  return result == ncclSuccess ? "no error" : "refused";
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  const std::string name = "/clx_stand_in_nccl_" + std::to_string(::getpid());
  const int file = ::shm_open(name.c_str(), O_CREAT | O_EXCL | O_RDWR, 0600);
  if (file < 0 || ::ftruncate(file, sizeof(Mailbox[kMostRanks][kMostRanks])) != 0) return ncclSystemError;
  ::close(file);
  std::strncpy(id->internal, name.c_str(), sizeof id->internal);
  return ncclSuccess;
}

ncclResult_t ncclCommInitRank(ncclComm_t* made, int size, ncclUniqueId id, int rank) {
  const int file = ::shm_open(id.internal, O_RDWR, 0600);
  if (file < 0 || size > kMostRanks) return ncclInvalidArgument;
  void* const memory =
      ::mmap(nullptr, sizeof(Mailbox[kMostRanks][kMostRanks]), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ::close(file);
  if (memory == MAP_FAILED) return ncclSystemError;
  *made = new ncclComm{id.internal, rank, static_cast<Mailbox(*)[kMostRanks]>(memory)};
  return ncclSuccess;
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  ::shm_unlink(comm->file.c_str());
  ::munmap(comm->mailboxes, sizeof(Mailbox[kMostRanks][kMostRanks]));
  delete comm;
  return ncclSuccess;
}

ncclResult_t ncclGroupStart() {
  return group.empty() ? ncclSuccess : ncclInvalidUsage;
}

static std::size_t bytes_of(std::size_t count, ncclDataType_t type) {
  return type == ncclFloat ? 4 * count : count;
}

ncclResult_t ncclSend(const void* data,
                      std::size_t count,
                      ncclDataType_t type,
                      int peer,
                      ncclComm_t comm,
                      cudaStream_t stream) {
  group.push_back({&comm->mailboxes[comm->rank][peer], static_cast<char*>(const_cast<void*>(data)),
                   bytes_of(count, type), true});
  streams.push_back(stream);
  return ncclSuccess;
}

ncclResult_t ncclRecv(
    void* data, std::size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t stream) {
  group.push_back(
      {&comm->mailboxes[peer][comm->rank], static_cast<char*>(data), bytes_of(count, type), false});
  streams.push_back(stream);
  return ncclSuccess;
}

// At once, so that processes that wait for each other on the host do not keep the devices waiting.
ncclResult_t ncclGroupEnd() {
  for (cudaStream_t stream : streams)
    if (cudaStreamSynchronize(stream) != cudaSuccess) return ncclUnhandledCudaError;
  streams.clear();
  while (std::any_of(group.begin(), group.end(), [](const Operation& o) { return o.left > 0; })) {
    bool any = false;
    for (Operation& operation : group)
      any = operation.step() || any;
    if (!any) std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  group.clear();
  return ncclSuccess;
}

}  // extern "C"
