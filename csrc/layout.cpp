#include "layout.h"

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <string>

namespace fastvae {

namespace {

// Dimensions of size above 1, the ones within a sample by descending stride of the first operand if `reorder`.
std::vector<int> walking_order(const std::vector<int64_t>& shape, int batch_dims, const std::vector<Operand>& operands,
                               bool reorder) {
  std::vector<int> order(shape.size());
  std::iota(order.begin(), order.end(), 0);
  if (reorder && !operands.empty()) {
    const std::vector<int64_t>& strides = operands.front().strides;
    std::stable_sort(order.begin() + batch_dims, order.end(), [&](int a, int b) { return strides[a] > strides[b]; });
  }
  order.erase(std::remove_if(order.begin(), order.end(), [&](int d) { return shape[d] == 1; }), order.end());
  return order;
}

Layout layout_of(const Space& space, const View& view) {
  int64_t expected = 1;
  bool dense = true, uniform = true;
  for (int d = space.rank - 1; d >= 0; --d) {
    dense &= view.strides[d] == expected;
    uniform &= view.strides[d] == 0;
    expected *= space.shape[d];
  }
  return dense ? Layout::dense : uniform ? Layout::uniform : Layout::strided;
}

}  // namespace

Space collapse(const std::vector<int64_t>& shape, int batch_dims, std::vector<Operand>& operands, bool reorder) {
  Space space;
  const auto product = [](int64_t a, int64_t b) { return a * b; };
  space.samples = std::accumulate(shape.begin(), shape.begin() + batch_dims, int64_t(1), product);
  space.sample_size = std::accumulate(shape.begin() + batch_dims, shape.end(), int64_t(1), product);
  space.count = space.samples * space.sample_size;

  std::vector<int64_t> sizes;
  std::vector<std::vector<int64_t>> strides(operands.size());
  for (int d : walking_order(shape, batch_dims, operands, reorder)) {
    const bool merges = !sizes.empty() && [&] {
      for (size_t i = 0; i < operands.size(); ++i)
        if (strides[i].back() != shape[d] * operands[i].strides[d]) return false;
      return true;
    }();
    if (merges) {
      sizes.back() *= shape[d];
    } else {
      sizes.push_back(shape[d]);
    }
    for (size_t i = 0; i < operands.size(); ++i) {
      if (merges) {
        strides[i].back() = operands[i].strides[d];
      } else {
        strides[i].push_back(operands[i].strides[d]);
      }
    }
  }
  if (sizes.empty()) {  // one element: any stride will do
    sizes.push_back(1);
    for (std::vector<int64_t>& s : strides) s.push_back(1);
  }
  if (sizes.size() > kMaxRank)
    throw std::invalid_argument("shape: got " + std::to_string(sizes.size()) +
                                " dimensions that do not collapse; takes " + std::to_string(kMaxRank));
  space.rank = static_cast<int>(sizes.size());
  std::copy(sizes.begin(), sizes.end(), space.shape);
  for (size_t i = 0; i < operands.size(); ++i) {
    View& view = *operands[i].view;
    std::copy(strides[i].begin(), strides[i].end(), view.strides);
    view.layout = layout_of(space, view);
  }
  return space;
}

}  // namespace fastvae
