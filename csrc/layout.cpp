#include "layout.h"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace fastvae {

namespace {

// Dimensions of size above 1, the ones within a sample by descending stride of the first operand if `reorder`.
int walking_order(const Shape& shape, int batch_dims, const Operand* operands, int count, bool reorder, int* order) {
  int rank = 0, samples_end = 0;
  for (int d = 0; d < shape.rank; ++d) {
    if (shape.sizes[d] != 1) order[rank++] = d;
    if (d < batch_dims) samples_end = rank;
  }
  if (reorder && count > 0) {
    const int64_t* strides = operands[0].strides;
    const auto descends = [=](int a, int b) { return strides[a] > strides[b]; };
    // Insertion sort: stable, and dimensions are few and mostly in order.
    for (int i = samples_end + 1; i < rank; ++i)
      std::rotate(std::upper_bound(order + samples_end, order + i, order[i], descends), order + i, order + i + 1);
  }
  return rank;
}

Layout layout_of(const Space& space, const View& view) {
  int64_t expected = 1;
  bool dense = true, uniform = true;
  for (int d = space.rank - 1; d >= 0; --d) {
    dense &= view.strides[d] == expected;
    uniform &= view.strides[d] == 0;
    expected *= space.shape[d];
  }
  return dense ? Layout::contiguous : uniform ? Layout::broadcast : Layout::strided;
}

}  // namespace

Space collapse(const Shape& shape, int batch_dims, const Operand* operands, int count, bool reorder) {
  Space space;
  space.samples = element_count(shape.sizes, shape.sizes + batch_dims);
  space.sample_size = element_count(shape.sizes + batch_dims, shape.sizes + shape.rank);
  space.count = space.samples * space.sample_size;

  int order[kMaxDims];
  const int rank = walking_order(shape, batch_dims, operands, count, reorder, order);
  for (int i = 0; i < rank; ++i) {
    const int d = order[i], last = space.rank - 1;
    const bool merges = last >= 0 && std::all_of(operands, operands + count, [&](const Operand& operand) {
                          return operand.view->strides[last] == shape.sizes[d] * operand.strides[d];
                        });
    if (!merges && space.rank == kMaxRank)
      throw std::invalid_argument("shape: got over " + std::to_string(kMaxRank) +
                                  " dimensions that do not collapse; takes " + std::to_string(kMaxRank));
    const int at = merges ? last : space.rank++;
    space.shape[at] = merges ? space.shape[at] * shape.sizes[d] : shape.sizes[d];
    for (int operand = 0; operand < count; ++operand)
      operands[operand].view->strides[at] = operands[operand].strides[d];
  }
  if (space.rank == 0) {  // one element: any stride will do
    space.rank = 1;
    space.shape[0] = 1;
    for (int operand = 0; operand < count; ++operand) operands[operand].view->strides[0] = 1;
  }
  for (int operand = 0; operand < count; ++operand)
    operands[operand].view->layout = layout_of(space, *operands[operand].view);
  return space;
}

}  // namespace fastvae
