// Collectives of NVIDIA GPUs over NCCL, which is opened at the first use. Only its sends and receives are
// used: the sum is our own kernel's, in the order of the ranks, so that results do not depend on the
// algorithm NCCL picks.
#ifdef CLX_CUDA

#include <stdexcept>
#include <string>

#include "kernels/collective.h"
#include "kernels/cuda/cuda_check.h"
#include "kernels/cuda/library.h"

#if __has_include(<nccl.h>)

#include <algorithm>
#include <cstring>
#include <nccl.h>

namespace clx::kernels {
namespace {

class Nccl {
 public:
  static const Nccl& library() {
    static const Nccl nccl;
    return nccl;
  }

  decltype(&ncclGetErrorString) get_error_string;
  decltype(&ncclGetUniqueId) get_unique_id;
  decltype(&ncclCommInitRank) comm_init_rank;
  decltype(&ncclCommDestroy) comm_destroy;
  decltype(&ncclSend) send;
  decltype(&ncclRecv) recv;
  decltype(&ncclGroupStart) group_start;
  decltype(&ncclGroupEnd) group_end;

  void check(ncclResult_t status, const char* what) const {
    if (status != ncclSuccess) throw std::runtime_error(std::string(what) + ": " + get_error_string(status));
  }

 private:
  Nccl() {
    const Library library({.name = "NCCL",
                           .file = "libnccl.so.2",
                           .variable = "CLX_NCCL",
                           .folders = {"nvidia/nccl/lib"},
                           .otherwise = "--processes 1 works without"});
    library.find("ncclGetErrorString", &get_error_string);
    library.find("ncclGetUniqueId", &get_unique_id);
    library.find("ncclCommInitRank", &comm_init_rank);
    library.find("ncclCommDestroy", &comm_destroy);
    library.find("ncclSend", &send);
    library.find("ncclRecv", &recv);
    library.find("ncclGroupStart", &group_start);
    library.find("ncclGroupEnd", &group_end);
  }
};

// The group's communicator, made at the first use: rank 0 names it, shared memory carries the name.
ncclComm_t communicator(const Cuda& backend, ProcessGroup& group) {
  if (!group.attachment()) {
    const Nccl& nccl = Nccl::library();
    cuda_check(cudaSetDevice(backend.index), "cudaSetDevice");
    ncclUniqueId id = {};
    if (group.rank() == 0) nccl.check(nccl.get_unique_id(&id), "ncclGetUniqueId");
    std::memcpy(group.slot(), &id, sizeof id);
    group.exchange("nccl", sizeof id);
    std::memcpy(&id, group.slot_of(0), sizeof id);
    ncclComm_t comm = nullptr;
    nccl.check(nccl.comm_init_rank(&comm, group.size(), id, group.rank()), "ncclCommInitRank");
    group.attachment() = std::shared_ptr<void>(
        comm, [](void* p) { Nccl::library().comm_destroy(static_cast<ncclComm_t>(p)); });
  }
  return static_cast<ncclComm_t>(group.attachment().get());
}

// Calls f(rank) for every rank, its sends and receives as one operation.
template <class F>
void together(const ProcessGroup& group, F&& f) {
  const Nccl& nccl = Nccl::library();
  nccl.check(nccl.group_start(), "ncclGroupStart");
  for (int rank = 0; rank < group.size(); ++rank)
    f(nccl, rank);
  nccl.check(nccl.group_end(), "ncclGroupEnd");
}

}  // namespace

void all_gather(const Cuda& backend, ProcessGroup& group, std::size_t bytes, const void* x, void* y) {
  const ncclComm_t comm = communicator(backend, group);
  together(group, [&](const Nccl& nccl, int rank) {
    nccl.check(nccl.send(x, bytes, ncclChar, rank, comm, backend.stream), "ncclSend");
    nccl.check(nccl.recv(static_cast<char*>(y) + static_cast<std::size_t>(rank) * bytes, bytes, ncclChar,
                         rank, comm, backend.stream),
               "ncclRecv");
  });
}

// Each process sums one share of the elements and sends the result to all: as many bytes as a ring moves.
void all_reduce(const Cuda& backend, ProcessGroup& group, std::int64_t count, const float* x, float* y) {
  const ncclComm_t comm = communicator(backend, group);
  const std::int64_t share = ((count + group.size() - 1) / group.size() + 3) / 4 * 4;
  const auto begin = [&](int rank) { return std::min(count, rank * share); };
  const auto size = [&](int rank) { return static_cast<std::size_t>(begin(rank + 1) - begin(rank)); };
  const std::size_t mine = size(group.rank());
  auto* parts =
      static_cast<float*>(backend.workspace(sizeof(float) * mine * static_cast<std::size_t>(group.size())));
  together(group, [&](const Nccl& nccl, int rank) {
    nccl.check(nccl.send(x + begin(rank), size(rank), ncclFloat, rank, comm, backend.stream), "ncclSend");
    nccl.check(
        nccl.recv(parts + static_cast<std::size_t>(rank) * mine, mine, ncclFloat, rank, comm, backend.stream),
        "ncclRecv");
  });
  sum_parts(backend, static_cast<std::int64_t>(mine), group.size(), parts, parts);
  together(group, [&](const Nccl& nccl, int rank) {
    nccl.check(nccl.send(parts, mine, ncclFloat, rank, comm, backend.stream), "ncclSend");
    nccl.check(nccl.recv(y + begin(rank), size(rank), ncclFloat, rank, comm, backend.stream), "ncclRecv");
  });
}

}  // namespace clx::kernels

#else

namespace clx::kernels {
namespace {

[[noreturn]] void throw_no_nccl() {
  throw std::runtime_error(
      "several GPUs need NCCL, whose header was not found when this was built; --processes 1 works without");
}

}  // namespace

void all_gather(const Cuda&, ProcessGroup&, std::size_t, const void*, void*) {
  throw_no_nccl();
}
void all_reduce(const Cuda&, ProcessGroup&, std::int64_t, const float*, float*) {
  throw_no_nccl();
}

}  // namespace clx::kernels

#endif
#endif
