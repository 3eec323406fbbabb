// The inner loops over the components of a mixture of Gaussians, for one point and one dimension at a time. Components
// come in whole registers: what fills the last one up has a density of 0.
// Everything is in powers of two: t = (z - mu) / sigma times sqrt(log2(e) / 2), so that a density is 2^(c - t^2).
#pragma once
#include "kernels/elementary.h"

namespace {

constexpr int64_t kRegister = 16;  // components are padded to a multiple of it
constexpr int64_t kAtOnce = 4;     // points of one sweep
constexpr double kLog2E = 1.44269504088896340736;
constexpr double kLn2 = 0.69314718055994530942;
constexpr double kRootHalfLog2E = 0.84932180028801904272;

// 2^x for x up to about 0; 0 below 2^-127.
FASTVAE_INLINE float power_of_two_at_most_one(float x) {
  const float bounded = at_least(x, kLeastBinary);
  const float power = bounded + kRound, r = bounded - (power - kRound);
  float p = 1.5453162943e-4f;
  p = fma(p, r, 1.3390863365e-3f);
  p = fma(p, r, 9.6180825573e-3f);
  p = fma(p, r, 5.5503571142e-2f);
  p = fma(p, r, 2.4022650761e-1f);
  p = fma(p, r, 6.9314718803e-1f);
  p = fma(p, r, 1.0f);
  return p * from_bits(shifted_to_exponent(to_bits(power) + 127));
}
FASTVAE_INLINE double power_of_two_at_most_one(double x) { return libm::exp2(x); }

// S[k] += the exponents of one dimension, without their constants.
template <class T>
void add_exponents(int64_t n, T z, const T* __restrict mu, const T* __restrict inverse, T* __restrict S) {
#pragma omp simd
  for (int64_t k = 0; k < n; ++k) {
    const T t = (z - mu[k]) * inverse[k];
    S[k] = fma(-t, t, S[k]);
  }
}

// The same for kAtOnce points, in rows of S that are `row` apart: mu and 1 / sigma are read once for all of them.
template <class T>
void add_exponents(int64_t n, const T (&z)[kAtOnce], const T* __restrict mu, const T* __restrict inverse, T* S,
                   int64_t row) {
  const T z0 = z[0], z1 = z[1], z2 = z[2], z3 = z[3];
  T *S0 = S, *S1 = S0 + row, *S2 = S1 + row, *S3 = S2 + row;
#pragma omp simd
  for (int64_t k = 0; k < n; ++k) {
    const T t0 = (z0 - mu[k]) * inverse[k], t1 = (z1 - mu[k]) * inverse[k];
    const T t2 = (z2 - mu[k]) * inverse[k], t3 = (z3 - mu[k]) * inverse[k];
    S0[k] = fma(-t0, t0, S0[k]);
    S1[k] = fma(-t1, t1, S1[k]);
    S2[k] = fma(-t2, t2, S2[k]);
    S3[k] = fma(-t3, t3, S3[k]);
  }
}

// The same, and the sum of the densities of that dimension.
template <class T>
T sum_of_densities(int64_t n, T z, const T* __restrict mu, const T* __restrict inverse, const T* __restrict c,
                   T* __restrict S) {
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t k = 0; k < n; ++k) {
    const T t = (z - mu[k]) * inverse[k];
    S[k] = fma(-t, t, S[k]);
    sum += power_of_two_at_most_one(fma(-t, t, c[k]));
  }
  return sum;
}

template <class T>
T largest_of(int64_t n, const T* S) {
  T largest = -kInfinity<T>;
#pragma omp simd reduction(max : largest)
  for (int64_t k = 0; k < n; ++k) largest = S[k] > largest ? S[k] : largest;
  return largest;
}

template <class T>
T sum_of_powers(int64_t n, T base, const T* S) {
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t k = 0; k < n; ++k) sum += power_of_two_at_most_one(S[k] - base);
  return sum;
}

// S[k] = factor 2^(S[k] - base).
template <class T>
void to_weights(int64_t n, T base, T factor, T* S) {
#pragma omp simd
  for (int64_t k = 0; k < n; ++k) S[k] = factor * power_of_two_at_most_one(S[k] - base);
}

// Adds the gradient of one dimension: w[k] is the upstream gradient of the density of component k. Of the parameters it
// adds sum w t and sum w (t^2 - log2(e) / 2); what it returns is that of z, but for a factor.
template <class T>
FASTVAE_INLINE T pulls(T w, T t, T inverse, T& to_mu, T& to_scale, T sum) {
  const T pull = w * t;
  to_mu += pull;
  to_scale += fma(pull, t, T(-0.5 * kLog2E) * w);
  return fma(pull, inverse, sum);
}

template <class T>
T add_gradients(int64_t n, T z, const T* __restrict mu, const T* __restrict inverse, const T* __restrict weights,
                T* __restrict to_mu, T* __restrict to_scale) {
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t k = 0; k < n; ++k) {
    const T t = (z - mu[k]) * inverse[k];
    sum = pulls(weights[k], t, inverse[k], to_mu[k], to_scale[k], sum);
  }
  return sum;
}

// The same for kAtOnce points, whose weights are `row` apart; adds to the gradients of z.
template <class T>
void add_gradients(int64_t n, const T (&z)[kAtOnce], const T* __restrict mu, const T* __restrict inverse,
                   const T* weights, int64_t row, T* __restrict to_mu, T* __restrict to_scale, T (&to_z)[kAtOnce]) {
  const T z0 = z[0], z1 = z[1], z2 = z[2], z3 = z[3];
  const T *w0 = weights, *w1 = w0 + row, *w2 = w1 + row, *w3 = w2 + row;
  T sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
#pragma omp simd reduction(+ : sum0, sum1, sum2, sum3)
  for (int64_t k = 0; k < n; ++k) {
    const T m = mu[k], v = inverse[k];
    T of_mu = to_mu[k], of_scale = to_scale[k];
    sum0 = pulls(w0[k], (z0 - m) * v, v, of_mu, of_scale, sum0);
    sum1 = pulls(w1[k], (z1 - m) * v, v, of_mu, of_scale, sum1);
    sum2 = pulls(w2[k], (z2 - m) * v, v, of_mu, of_scale, sum2);
    sum3 = pulls(w3[k], (z3 - m) * v, v, of_mu, of_scale, sum3);
    to_mu[k] = of_mu;
    to_scale[k] = of_scale;
  }
  to_z[0] += sum0;
  to_z[1] += sum1;
  to_z[2] += sum2;
  to_z[3] += sum3;
}

// The same where the density of this dimension alone has a gradient, too: `factor` 2^(c - t^2 - base).
template <class T>
T add_gradients(int64_t n, T z, const T* __restrict mu, const T* __restrict inverse, const T* __restrict weights,
                const T* __restrict c, T base, T factor, T* __restrict to_mu, T* __restrict to_scale) {
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t k = 0; k < n; ++k) {
    const T t = (z - mu[k]) * inverse[k];
    const T w = fma(factor, power_of_two_at_most_one(fma(-t, t, c[k]) - base), weights[k]);
    sum = pulls(w, t, inverse[k], to_mu[k], to_scale[k], sum);
  }
  return sum;
}

}  // namespace
