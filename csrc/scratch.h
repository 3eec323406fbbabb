// Memory of the calling thread that a kernel computes in: on the stack, eight blocks of float64 would be 128 KiB, and a
// thread may have 64.
#pragma once
#include <stddef.h>

#include "tensor.h"

namespace fastvae {

constexpr size_t kScratchBytes = 8 * kBlock * sizeof(double);
constexpr size_t kScratchAlignment = 64;

// kScratchBytes of it. One kernel at a time may use it.
void* scratch();

}  // namespace fastvae
