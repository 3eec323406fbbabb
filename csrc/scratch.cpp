#include "scratch.h"

namespace fastvae {

void* scratch() {
  alignas(kScratchAlignment) static thread_local unsigned char memory[kScratchBytes];
  return memory;
}

}  // namespace fastvae
