// What happens to gradients between the ops: scaling one in place, and summing one to a broadcast operand's shape.
#pragma once
#include "kernels/blocks.h"

namespace {

// grad *= upstream, without touching memory where upstream is 1.
template <class T>
void scale_gradient(const ScaleGradient& a) {
  T upstream_buffer[1];
  const T upstream = *load(a.upstream, a.space, 0, 1, upstream_buffer);
  if (upstream == T(1)) return;
  for_each_block(a, [&](const Block& block) {
    T buffer[kBlock];
    const T* grad = load(a.grad, a.space, block.begin, block.size, buffer);
    T* out = destination(a.grad, block.begin, buffer);
    for (int64_t i = 0; i < block.size; ++i) out[i] = grad[i] * upstream;
    store(a.grad, a.space, block.begin, block.size, out);
  });
}

// In logical order, on one thread, in double: the order of additions depends on nothing.
template <class T>
void sum_to(const SumTo& a) {
  double* sums = static_cast<double*>(a.sums.data);
  for (int64_t index = 0, blocks = a.space.blocks(); index < blocks; ++index) {
    T buffer[kBlock];
    const Block block = block_at(a.space, index);
    const T* full = load(a.full, a.space, block.begin, block.size, buffer);
    for_each_run(a.space, a.sums, block.begin, block.size,
                 [=](int64_t offset, int64_t stride, int64_t position, int64_t length) {
                   if (stride == 0) {
                     sums[offset] += sum(full + position, length);
                   } else {
                     for (int64_t i = 0; i < length; ++i) sums[offset + i * stride] += full[position + i];
                   }
                 });
  }
}

}  // namespace
