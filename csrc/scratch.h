// Memory of the calling thread that a kernel computes in: on the stack, eight blocks of float64 would be 128 KiB, and a
// thread may have 64.
#pragma once
#include "tensor.h"

namespace fastvae {

constexpr int kScratchBlocks = 8;

// kScratchBlocks blocks of float64. One kernel at a time may use it.
void* scratch();

}  // namespace fastvae
