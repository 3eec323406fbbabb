// Memory that the threads of a call compute in: on a stack, eight blocks of float64 would be 128 KiB, and a thread may
// have 64.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "tensor.h"

namespace fastvae {

constexpr size_t kScratchBytes = 8 * kBlock * sizeof(double);
constexpr size_t kScratchAlignment = 64;

// kScratchBytes for each of `threads`, kept for a later call when this one has ended. Both ends hold the GIL: the list
// of what is kept needs no lock, which a fork could leave taken, and where there is no memory the caller throws
// std::bad_alloc before a kernel begins. In a thread of OpenMP's nobody could catch it.
class Scratch {
 public:
  explicit Scratch(int64_t threads);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  char* data() const { return memory_; }

 private:
  char* memory_;
  int64_t threads_;
};

}  // namespace fastvae
