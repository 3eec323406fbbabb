// From the sizes and strides of tensors to the fewest dimensions a kernel can walk.
#pragma once
#include <cstdint>
#include <vector>

#include "tensor.h"

namespace fastvae {

// One operand on its way into a kernel: where its view goes, and its strides over the full, uncollapsed shape.
struct Operand {
  View* view;
  std::vector<int64_t> strides;
};

// Collapses `shape` (whose first `batch_dims` index samples) for all operands at once and fills in their views.
// With `reorder`, dimensions within a sample may be walked in memory order: only where no logical index matters.
// Throws std::invalid_argument where more than kMaxRank dimensions remain.
Space collapse(const std::vector<int64_t>& shape, int batch_dims, std::vector<Operand>& operands, bool reorder);

}  // namespace fastvae
