// Collapses the dimensions of all operands together to the fewest that a kernel has to iterate over.
#pragma once
#include <cstdint>

#include "tensor.h"

namespace fastvae {

struct Shape {
  int rank = 0;
  int64_t sizes[kMaxDims];
};

// One operand on its way into a kernel: where its view goes, and its strides over the full, uncollapsed shape.
struct Operand {
  View* view;
  int64_t strides[kMaxDims];
};

// Collapses `shape` (whose first `batch_dims` index samples) for all operands at once and fills in their views.
// With `reorder`, dimensions within a sample may be walked in memory order: only where no logical index matters.
// Throws std::invalid_argument where more than kMaxRank dimensions remain.
Space collapse(const Shape& shape, int batch_dims, const Operand* operands, int count, bool reorder);

}  // namespace fastvae
