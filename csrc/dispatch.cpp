// Chooses the unit this process runs.
#include "arguments.h"

namespace fastvae {

extern const Kernels kernels_baseline;

const Kernels& kernels() { return kernels_baseline; }

}  // namespace fastvae
