// Branch-free float32 mathematics that compilers vectorise, and the same functions in float64 from libm.
// Polynomials: Cephes, single precision, except log1p on [0, 1], a minimax fit of degree 10. Horner steps are written
// out: a loop over a constant array silently stays scalar.
#pragma once
#include "kernels/common.h"

namespace {

#ifdef __FMA__
FASTVAE_INLINE float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
#else
FASTVAE_INLINE float fma(float a, float b, float c) { return a * b + c; }
#endif

constexpr float kLn2High = 0.693359375f;
constexpr float kLn2Low = -2.12194440e-4f;
constexpr float kInfinity = __builtin_inff();
constexpr double kHalfLogTwoPi = 0.91893853320467274178;

// (e^r - 1 - r) / r^2 for |r| <= ln(2) / 2.
FASTVAE_INLINE float exponential_polynomial(float r) {
  float p = 1.9875691500e-4f;
  p = fma(p, r, 1.3981999507e-3f);
  p = fma(p, r, 8.3334519073e-3f);
  p = fma(p, r, 4.1665795894e-2f);
  p = fma(p, r, 1.6666665459e-1f);
  return fma(p, r, 5.0000001201e-1f);
}

// e^x = 2^n (1 + u + low), u = r + q, with q = e^r - 1 - r exact to its own last places: nothing cancels where x is
// small. `low` is what rounding took from u.
struct Exponential {
  float u, low, q;
  int32_t n;
};

FASTVAE_INLINE Exponential exponential(float x) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
  x = x > 89.0f ? 89.0f : x;
  x = x < -104.0f ? -104.0f : x;
  const float shifted = fma(x, 1.44269504088896341f, kRound);
  const float n = shifted - kRound;
  const float coarse = fma(n, -kLn2High, x), correction = n * -kLn2Low;
  const float r = coarse + correction, lost = (coarse - r) + correction;
  const float p = exponential_polynomial(r);
  const float q = p * r * r, tail = q + lost, u = r + tail;
  return {u, (r - u) + tail, q, to_bits(shifted) - 0x4B400000};
}

FASTVAE_INLINE float power_of_two(int32_t n) { return from_bits((n + 127) << 23); }

// In two factors, so that n = 128 overflows to infinity instead of wrapping.
FASTVAE_INLINE float scale_by_power(float value, int32_t n) {
  const int32_t half = n >> 1;
  return value * power_of_two(half) * power_of_two(n - half);
}

// Results that would be denormal are 0: a loss of 0 must not run at the speed of denormals.
FASTVAE_INLINE float exp(float x) {
  const Exponential e = exponential(x);
  const float value = scale_by_power(1.0f + e.u, e.n);
  return x < -87.33f ? 0.0f : value;
}
FASTVAE_INLINE double exp(double x) { return __builtin_exp(x); }

// e^x for x <= 0, to 1.5 units in the last place: what a logistic needs of it, in half the steps.
FASTVAE_INLINE float exp_negative(float x) {
  constexpr float kRound = 12582912.0f;
  const float bounded = x < -87.33f ? -87.33f : x;
  const float shifted = fma(bounded, 1.44269504088896341f, kRound), n = shifted - kRound;
  float r = fma(n, -kLn2High, bounded);
  r = fma(n, -kLn2Low, r);
  const float p = exponential_polynomial(r);
  const float value = (fma(p * r, r, r) + 1.0f) * power_of_two(to_bits(shifted) - 0x4B400000);
  return x < -87.33f ? 0.0f : value;
}
FASTVAE_INLINE double exp_negative(double x) { return __builtin_exp(x); }

FASTVAE_INLINE float log(float x) {
  const bool tiny = x < 1.17549435e-38f;
  const float normal = tiny ? x * 8388608.0f : x;
  const int32_t bits = to_bits(normal);
  const int32_t exponent = (bits - 0x3F3504F3) >> 23;
  const float f = from_bits(bits - (exponent << 23)) - 1.0f;
  const float n = static_cast<float>(tiny ? exponent - 23 : exponent);
  float p = 7.0376836292e-2f;
  p = fma(p, f, -1.1514610310e-1f);
  p = fma(p, f, 1.1676998740e-1f);
  p = fma(p, f, -1.2420140846e-1f);
  p = fma(p, f, 1.4249322787e-1f);
  p = fma(p, f, -1.6668057665e-1f);
  p = fma(p, f, 2.0000714765e-1f);
  p = fma(p, f, -2.4999993993e-1f);
  p = fma(p, f, 3.3333331174e-1f);
  const float square = f * f;
  float y = p * square * f;
  y = fma(n, kLn2Low, y);
  y = fma(-0.5f, square, y);
  y = y + f;
  y = fma(n, kLn2High, y);
  y = x < kInfinity ? y : x;  // infinity and NaN
  y = x == 0.0f ? -kInfinity : y;
  return x < 0.0f ? __builtin_nanf("") : y;
}
FASTVAE_INLINE double log(double x) { return __builtin_log(x); }

// log(1 + x) for x in [0, 1], with its relative accuracy at 0.
FASTVAE_INLINE float log1p_unit(float x) {
  float p = -3.243980800e-03f;
  p = fma(p, x, 1.985126235e-02f);
  p = fma(p, x, -5.695915858e-02f);
  p = fma(p, x, 1.060361682e-01f);
  p = fma(p, x, -1.530557009e-01f);
  p = fma(p, x, 1.967593145e-01f);
  p = fma(p, x, -2.495413213e-01f);
  p = fma(p, x, 3.332996227e-01f);
  p = fma(p, x, -4.999990242e-01f);
  p = fma(p, x, -4.7e-09f);
  return fma(p, x, x);
}
FASTVAE_INLINE double log1p_unit(double x) { return __builtin_log1p(x); }

// log(1 + x) for x in [-1, 0]: the rounding of 1 + x is given back.
FASTVAE_INLINE float log1p_negative(float x) {
  const float sum = 1.0f + x;
  const float lost = x - (sum - 1.0f);
  const float y = log(sum);
  return sum > 0.0f ? y + lost / sum : y;
}
FASTVAE_INLINE double log1p_negative(double x) { return __builtin_log1p(x); }

FASTVAE_INLINE float sqrt(float x) { return __builtin_sqrtf(x); }
FASTVAE_INLINE double sqrt(double x) { return __builtin_sqrt(x); }
FASTVAE_INLINE float magnitude(float x) { return __builtin_fabsf(x); }
FASTVAE_INLINE double magnitude(double x) { return __builtin_fabs(x); }

// Of s = log sigma: sigma, the excess sigma^2 - 1 and the penalty sigma^2 - 1 - log sigma^2, both without cancellation
// where sigma is near 1.
template <class T>
struct LogScale {
  T sigma, excess, penalty;
};

FASTVAE_INLINE LogScale<float> log_scale(float s) {
  const Exponential e = exponential(s);
  const float sigma = scale_by_power(1.0f + e.u, e.n);
  const float core = 2.0f * e.u + (e.u * e.u + 2.0f * e.low * (1.0f + e.u));
  const float variance = scale_by_power(scale_by_power(1.0f + core, e.n), e.n);
  const bool near = e.n == 0;
  const float excess = near ? core : variance - 1.0f;
  const float penalty = near ? fma(e.u, e.u, 2.0f * e.q) : (variance - 1.0f) - 2.0f * s;
  return {s < -87.33f ? 0.0f : sigma, excess, penalty};
}

FASTVAE_INLINE LogScale<double> log_scale(double s) {
  const double l = 2 * s, excess = __builtin_expm1(l);
  double p = 1.0 / 6227020800.0;  // Taylor series of (e^l - 1 - l) / l^2
  p = p * l + 1.0 / 479001600.0;
  p = p * l + 1.0 / 39916800.0;
  p = p * l + 1.0 / 3628800.0;
  p = p * l + 1.0 / 362880.0;
  p = p * l + 1.0 / 40320.0;
  p = p * l + 1.0 / 5040.0;
  p = p * l + 1.0 / 720.0;
  p = p * l + 1.0 / 120.0;
  p = p * l + 1.0 / 24.0;
  p = p * l + 1.0 / 6.0;
  p = p * l + 1.0 / 2.0;
  return {__builtin_exp(s), excess, magnitude(l) < 0.35 ? p * l * l : excess - l};
}

// d - log r of r = var / var_p and d = r - 1, without cancellation where r is near 1 (with w = d / (2 + d), log r is
// 2 atanh(w)) nor where it is near 0 (log r, never log(1 + d)).
template <class T>
FASTVAE_INLINE T ratio_penalty(T d, T r) {
  const T w = d / (T(2) + d), square = w * w;
  T p = T(1) / T(25);
  if (sizeof(T) == 4) {
    p = T(1) / T(13);
  } else {
    p = p * square + T(1) / T(23);
    p = p * square + T(1) / T(21);
    p = p * square + T(1) / T(19);
    p = p * square + T(1) / T(17);
    p = p * square + T(1) / T(15);
    p = p * square + T(1) / T(13);
  }
  p = p * square + T(1) / T(11);
  p = p * square + T(1) / T(9);
  p = p * square + T(1) / T(7);
  p = p * square + T(1) / T(5);
  p = p * square + T(1) / T(3);
  const T near = w * d - T(2) * (w * square) * p;
  return magnitude(d) <= T(0.4) ? near : d - log(r);
}

template <class T>
struct Logistic {
  T sigmoid, softplus_negative_magnitude;  // softplus(-|x|) = log(1 + e^-|x|)
};

template <class T>
FASTVAE_INLINE Logistic<T> logistic(T x) {
  const T e = exp_negative(-magnitude(x));
  const T inverse = T(1) / (T(1) + e);
  return {x >= T(0) ? inverse : e * inverse, log1p_unit(e)};
}

}  // namespace
