// log (1/K) sum_k exp(log_w_k) (Burda et al. 2016, equation 8): two passes over the K samples.
// K may be thousands: the weights are summed in double.
#pragma once
#include "kernels/blocks.h"
#include "kernels/elementary.h"

namespace {

template <class T>
FASTVAE_INLINE T finite_or_zero(T value) {
  return magnitude(value) < kInfinity<T> ? value : T(0);
}

template <class T>
struct BoundBuffers {
  BlockOf<T> log_w, bound, largest;
  BlockOf<double> total;
};

template <class T>
void importance_weighted_bound(const ImportanceWeightedBound& a) {
  for_each_block(a, [&](const Block& block) {
    BoundBuffers<T>& buffers = scratch_as<BoundBuffers<T>>(block.scratch);
    T* largest = buffers.largest;
    double* total = buffers.total;
    const int64_t n = block.size;
    for (int64_t i = 0; i < n; ++i) largest[i] = -kInfinity<T>, total[i] = 0;
    for (int64_t k = 0; k < a.num_samples; ++k) {
      const T* log_w = load<T>(a.log_w, a.space, block, buffers.log_w, k);
      for (int64_t i = 0; i < n; ++i) largest[i] = log_w[i] > largest[i] ? log_w[i] : largest[i];
    }
    for (int64_t i = 0; i < n; ++i) largest[i] = finite_or_zero(largest[i]);
    for (int64_t k = 0; k < a.num_samples; ++k) {
      const T* log_w = load<T>(a.log_w, a.space, block, buffers.log_w, k);
      for (int64_t i = 0; i < n; ++i) total[i] += exp(log_w[i] - largest[i]);
    }
    const Destination<T> bound = destination<T>(a.bound, a.space, block, buffers.bound);
    const T log_k = static_cast<T>(libm::log(static_cast<double>(a.num_samples)));
    for (int64_t i = 0; i < n; ++i) bound[i] = largest[i] + (log(static_cast<T>(total[i])) - log_k);
    store(a.bound, a.space, block, bound);
  });
}

template <class T>
struct BoundGradientBuffers {
  BlockOf<T> log_w, bound, upstream, shift, grad_log_w;
  BlockOf<double> total;
};

// Normalizes by the sum of exp(log_w_k - bound) itself, near K: the bound is rounded to its own size, the weights are
// not. Where the bound is infinite there is no sum: with all weights 0 every gradient is 0.
template <class T>
void importance_weighted_bound_backward(const ImportanceWeightedBoundBackward& a) {
  for_each_block(a, [&](const Block& block) {
    BoundGradientBuffers<T>& buffers = scratch_as<BoundGradientBuffers<T>>(block.scratch);
    T* shift = buffers.shift;
    double* total = buffers.total;
    const int64_t n = block.size;
    const T* bound = load<T>(a.bound, a.space, block, buffers.bound);
    const T* g = load<T>(a.grad_bound, a.space, block, buffers.upstream);
    for (int64_t i = 0; i < n; ++i) shift[i] = bound[i] == -kInfinity<T> ? T(0) : bound[i], total[i] = 0;
    for (int64_t k = 0; k < a.num_samples; ++k) {
      const T* log_w = load<T>(a.log_w, a.space, block, buffers.log_w, k);
      for (int64_t i = 0; i < n; ++i) total[i] += exp(log_w[i] - shift[i]);
    }
    for (int64_t i = 0; i < n; ++i) total[i] = magnitude(bound[i]) < kInfinity<T> ? total[i] : 1;
    for (int64_t k = 0; k < a.num_samples; ++k) {
      const T* log_w = load<T>(a.log_w, a.space, block, buffers.log_w, k);
      const Destination<T> grad = destination<T>(a.grad_log_w, a.space, block, buffers.grad_log_w, k);
      for (int64_t i = 0; i < n; ++i) grad[i] = g[i] * (exp(log_w[i] - shift[i]) / static_cast<T>(total[i]));
      store(a.grad_log_w, a.space, block, grad, k);
    }
  });
}

}  // namespace
