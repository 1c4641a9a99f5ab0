#include "kernels/cuda/emulator/fiber.h"

#include <cstdint>
#include <pthread.h>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

#if defined(__x86_64__)
// Saves the registers that a callee must keep, changes the stack and goes on where the other one left.
// `jmp` instead of `ret`: the return would be mispredicted every time.
extern "C" void clx_emulator_switch(void** save, void* load);
asm(R"(
.text
.p2align 5
.globl clx_emulator_switch
.type clx_emulator_switch,@function
clx_emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp,(%rdi)
  movq %rsi,%rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  popq %rcx
  jmp *%rcx
.size clx_emulator_switch,.-clx_emulator_switch
)");
#endif

namespace clx::emulator {

std::size_t stack_bytes() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return 256 * 1024;
#else
  return 64 * 1024;
#endif
}

void prepare_stack(Stack& stack, void (*entry)()) {
#if defined(__SANITIZE_ADDRESS__)
  ASAN_UNPOISON_MEMORY_REGION(stack.base, stack.bytes);
  stack.asan_fake = nullptr;
#endif
#if defined(__SANITIZE_THREAD__)
  if (stack.tsan_fiber) __tsan_destroy_fiber(stack.tsan_fiber);
  stack.tsan_fiber = __tsan_create_fiber(0);
#endif
#if defined(__x86_64__)
  const auto top = (reinterpret_cast<std::uintptr_t>(stack.base) + stack.bytes) & ~std::uintptr_t(63);
  auto* words = reinterpret_cast<void**>(top);
  *--words = nullptr;  // entry's return address, never used; keeps the stack aligned as after a call
  *--words = reinterpret_cast<void*>(entry);
  for (int i = 0; i < 6; ++i)
    *--words = nullptr;
  stack.position = words;
#else
  if (!stack.position) stack.position = new ucontext_t;
  auto* context = static_cast<ucontext_t*>(stack.position);
  getcontext(context);
  context->uc_stack.ss_sp = stack.base;
  context->uc_stack.ss_size = stack.bytes;
  context->uc_link = nullptr;
  makecontext(context, entry, 0);
#endif
}

void adopt_host_stack(Stack& stack) {
#if defined(__SANITIZE_ADDRESS__)
  pthread_attr_t attributes;
  void* lowest = nullptr;
  pthread_getattr_np(pthread_self(), &attributes);
  pthread_attr_getstack(&attributes, &lowest, &stack.bytes);
  pthread_attr_destroy(&attributes);
  stack.base = static_cast<char*>(lowest);
#endif
#if defined(__SANITIZE_THREAD__)
  stack.tsan_fiber = __tsan_get_current_fiber();
#endif
#if !defined(__x86_64__)
  if (!stack.position) stack.position = new ucontext_t;
#endif
  static_cast<void>(stack);
}

void switch_stack(Stack& from, Stack& to) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&from.asan_fake, to.base, to.bytes);
#endif
#if defined(__SANITIZE_THREAD__)
  __tsan_switch_to_fiber(to.tsan_fiber, 0);  // 0: the switch orders memory, so no report between fibers
#endif
#if defined(__x86_64__)
  clx_emulator_switch(&from.position, to.position);
#else
  swapcontext(static_cast<ucontext_t*>(from.position), static_cast<ucontext_t*>(to.position));
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(from.asan_fake, nullptr, nullptr);
#endif
}

void entered_stack() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
}

}  // namespace clx::emulator
