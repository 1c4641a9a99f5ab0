// A stack to run on and the switch from one to another, with what the sanitizers must be told.
#pragma once

#include <cstddef>

namespace clx::emulator {

struct Stack {
  void* position = nullptr;  // the saved stack pointer, or the ucontext
  char* base = nullptr;      // lowest address
  std::size_t bytes = 0;
  void* asan_fake = nullptr;   // AddressSanitizer's handle while the stack is not running
  void* tsan_fiber = nullptr;  // ThreadSanitizer's view of this stack
};

/// Bytes a kernel thread may use: more under AddressSanitizer, whose frames are larger.
std::size_t stack_bytes();

/// Makes `stack` begin at `entry`, which never returns, when it is first switched to.
void prepare_stack(Stack& stack, void (*entry)());

/// Notes the stack that the calling host thread runs on.
void adopt_host_stack(Stack& stack);

void switch_stack(Stack& from, Stack& to);

/// To be called first by the entry of a stack.
void entered_stack();

}  // namespace clx::emulator
