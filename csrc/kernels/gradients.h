// Scaling a gradient that the forward pass wrote.
#pragma once
#include "kernels/blocks.h"

namespace {

// grad *= upstream, without touching memory where upstream is 1.
template <class T>
void scale_gradient(const ScaleGradient& a) {
  if (a.space.count == 0) return;
  T upstream_buffer[1];
  const T upstream = *load(a.upstream, a.space, Range(a.space, 0, 1), upstream_buffer);
  if (upstream == T(1)) return;
  for_each_block(a, [&](const Block& block) {
    T* buffer = scratch_as<BlockOf<T>>(block.scratch);
    const T* grad = load(a.grad, a.space, block, buffer);
    const Destination<T> out = destination(a.grad, a.space, block, buffer);
    for (int64_t i = 0; i < block.size; ++i) out[i] = grad[i] * upstream;
    store(a.grad, a.space, block, out);
  });
}

}  // namespace
