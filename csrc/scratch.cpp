#include "scratch.h"

namespace fastvae {

void* scratch() {
  alignas(64) static thread_local double memory[kScratchBlocks * kBlock];
  return memory;
}

}  // namespace fastvae
