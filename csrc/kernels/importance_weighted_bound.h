// log (1/K) sum_k exp(log_w_k) (Burda et al. 2016, equation 8): two passes over the K samples, which lie along `lead`.
// K may be thousands: the weights are summed in double.
#pragma once
#include "kernels/blocks.h"
#include "kernels/math.h"

namespace {

template <class T>
FASTVAE_INLINE T finite_or_zero(T value) {
  return magnitude(value) < T(__builtin_inf()) ? value : T(0);
}

template <class T>
void importance_weighted_bound(const ImportanceWeightedBound& a) {
  for_each_block(a, [&](const Block& block) {
    const Scratch<T> scratch(3);
    T *buffer = scratch.block(0), *out_buffer = scratch.block(1), *largest = scratch.block(2);
    double* total = Scratch<double>().block(5);  // behind five blocks of T
    const int64_t n = block.size;
    for (int64_t i = 0; i < n; ++i) largest[i] = T(-__builtin_inf()), total[i] = 0;
    for (int64_t k = 0; k < a.num_samples; ++k) {
      const T* log_w = load(a.log_w, a.space, block, buffer, k);
      for (int64_t i = 0; i < n; ++i) largest[i] = log_w[i] > largest[i] ? log_w[i] : largest[i];
    }
    for (int64_t i = 0; i < n; ++i) largest[i] = finite_or_zero(largest[i]);
    for (int64_t k = 0; k < a.num_samples; ++k) {
      const T* log_w = load(a.log_w, a.space, block, buffer, k);
      for (int64_t i = 0; i < n; ++i) total[i] += exp(log_w[i] - largest[i]);
    }
    const Destination<T> bound = destination(a.bound, a.space, block, out_buffer);
    const T log_k = static_cast<T>(__builtin_log(static_cast<double>(a.num_samples)));
    for (int64_t i = 0; i < n; ++i) bound[i] = largest[i] + (log(static_cast<T>(total[i])) - log_k);
    store(a.bound, a.space, block, bound);
  });
}

// Normalizes by the sum of exp(log_w_k - bound) itself, near K: the bound is rounded to its own size, the weights are
// not. Where the bound is infinite there is no sum: with all weights 0 every gradient is 0.
template <class T>
void importance_weighted_bound_backward(const ImportanceWeightedBoundBackward& a) {
  for_each_block(a, [&](const Block& block) {
    const Scratch<T> scratch(5);
    T *buffer = scratch.block(0), *out_buffer = scratch.block(1), *shift = scratch.block(2);
    double* total = Scratch<double>().block(5);  // behind five blocks of T
    const int64_t n = block.size;
    const T* bound = load(a.bound, a.space, block, scratch.block(3));
    const T* g = load(a.grad_bound, a.space, block, scratch.block(4));
    for (int64_t i = 0; i < n; ++i) shift[i] = bound[i] == T(-__builtin_inf()) ? T(0) : bound[i], total[i] = 0;
    for (int64_t k = 0; k < a.num_samples; ++k) {
      const T* log_w = load(a.log_w, a.space, block, buffer, k);
      for (int64_t i = 0; i < n; ++i) total[i] += exp(log_w[i] - shift[i]);
    }
    for (int64_t i = 0; i < n; ++i) total[i] = magnitude(bound[i]) < T(__builtin_inf()) ? total[i] : 1;
    for (int64_t k = 0; k < a.num_samples; ++k) {
      const T* log_w = load(a.log_w, a.space, block, buffer, k);
      const Destination<T> grad = destination(a.grad_log_w, a.space, block, out_buffer, k);
      for (int64_t i = 0; i < n; ++i) grad[i] = g[i] * (exp(log_w[i] - shift[i]) / static_cast<T>(total[i]));
      store(a.grad_log_w, a.space, block, grad, k);
    }
  });
}

}  // namespace
