// log (1/K) sum_k exp(log_w_k) (Burda et al. 2016, equation 8): two passes over the K samples, which lie along `lead`.
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
    T buffer[kBlock], out_buffer[kBlock], largest[kBlock], total[kBlock];
    const int64_t begin = block.begin, n = block.size;
    for (int64_t i = 0; i < n; ++i) largest[i] = T(-__builtin_inf()), total[i] = T(0);
    for (int64_t k = 0; k < a.num_samples; ++k) {
      const T* log_w = load(a.log_w, a.space, begin, n, buffer, k);
      for (int64_t i = 0; i < n; ++i) largest[i] = log_w[i] > largest[i] ? log_w[i] : largest[i];
    }
    for (int64_t i = 0; i < n; ++i) largest[i] = finite_or_zero(largest[i]);
    for (int64_t k = 0; k < a.num_samples; ++k) {
      const T* log_w = load(a.log_w, a.space, begin, n, buffer, k);
      for (int64_t i = 0; i < n; ++i) total[i] += exp(log_w[i] - largest[i]);
    }
    T* bound = destination(a.bound, begin, out_buffer);
    const T log_k = static_cast<T>(__builtin_log(static_cast<double>(a.num_samples)));
    for (int64_t i = 0; i < n; ++i) bound[i] = largest[i] + (log(total[i]) - log_k);
    store(a.bound, a.space, begin, n, bound);
  });
}

template <class T>
void importance_weighted_bound_backward(const ImportanceWeightedBoundBackward& a) {
  for_each_block(a, [&](const Block& block) {
    T buffer[kBlock], bound_buffer[kBlock], grad_buffer[kBlock], out_buffer[kBlock], normalizer[kBlock];
    const int64_t begin = block.begin, n = block.size;
    const T* bound = load(a.bound, a.space, begin, n, bound_buffer);
    const T* g = load(a.grad_bound, a.space, begin, n, grad_buffer);
    const T log_k = static_cast<T>(__builtin_log(static_cast<double>(a.num_samples)));
    for (int64_t i = 0; i < n; ++i) {  // with all weights 0 the bound is -inf, and every gradient 0
      const T value = bound[i] + log_k;
      normalizer[i] = value == T(-__builtin_inf()) ? T(0) : value;
    }
    for (int64_t k = 0; k < a.num_samples; ++k) {
      const T* log_w = load(a.log_w, a.space, begin, n, buffer, k);
      T* grad = destination(a.grad_log_w, begin, out_buffer, k);
      for (int64_t i = 0; i < n; ++i) grad[i] = g[i] * exp(log_w[i] - normalizer[i]);
      store(a.grad_log_w, a.space, begin, n, grad, k);
    }
  });
}

}  // namespace
