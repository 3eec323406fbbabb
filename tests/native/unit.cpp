// Compiled for each instruction-set unit, with the name that CMake gave it.
#include "kernels/unit.h"

#include "launch.h"

namespace fastvae {
extern const Kernels FASTVAE_JOIN(kernels_, FASTVAE_UNIT);
}

const fastvae::Kernels& native::unit() { return fastvae::FASTVAE_JOIN(kernels_, FASTVAE_UNIT); }
