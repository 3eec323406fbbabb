// Of two variances and their ratio r: sigma, r - 1 and r - 1 - log r, without cancellation where r is near 1 and
// without leaving the range of the type where r does not.
#pragma once
#include "kernels/elementary.h"

namespace {

// Of l = log sigma^2: sigma, the excess sigma^2 - 1 and the penalty sigma^2 - 1 - l, the last two without cancellation
// where sigma is near 1.
template <class T>
struct LogScale {
  T sigma, excess, penalty;
};

// The excess is 2^n u + (2^n - 1), the penalty 2^n q + (2^n - 1) r + (2^n - 1 - n ln 2): no term cancels another.
FASTVAE_INLINE LogScale<float> log_scale_of(const Exponential& e, float sigma, float power) {
  const float below = power - 1.0f;
  const float rest = fma(e.rounded, -kLn2Low, fma(e.rounded, -kLn2High, below));
  return {sigma, fma(power, e.u, below), fma(power, e.q, fma(below, e.r, rest))};
}

// One exponential serves all three: with e^l = 2^n (1 + u), sigma is sqrt(2^(n mod 2) (1 + u)) 2^(n div 2).
FASTVAE_INLINE LogScale<float> log_scale(float l) {
  const float bounded = at_least(l, kLeastLogVariance);  // sigma is 0 below -208 and infinite above 177.5
  const Exponential e = exponential(bounded, at_most(nearest_power(bounded), kMostLogVariancePower));
  const int32_t half = e.n >> 1, quarter = half >> 1;
  const float odd = power_of_two(e.n & 1), mantissa = fma(e.u, odd, odd);
  const float a = power_of_two(quarter), b = power_of_two(half - quarter), scale = a * b;
  const float sigma = flushed(sqrt(mantissa) * a * b);
  const LogScale<float> near = log_scale_of(e, sigma, scale * scale * odd);
  const bool far = magnitude(l) > 87.0f;  // where 2^n is no float, and -1 or -l is nothing beside the rest
  const float excess = fma(mantissa * scale, scale, -1.0f);
  return {sigma, far ? excess : near.excess, far ? excess - l : near.penalty};
}

// The same for |l| <= 80, where e^l and every power of two is a normal float.
FASTVAE_INLINE LogScale<float> log_scale_in_range(float l) {
  const Exponential e = exponential(l, nearest_power(l));
  const float power = power_of_two(e.n);
  return log_scale_of(e, sqrt(fma(e.u, power, power)), power);
}

FASTVAE_INLINE LogScale<double> log_scale(double l) {
  const double excess = libm::expm1(l);
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
  return {libm::exp(0.5 * l), excess, magnitude(l) < 0.35 ? p * l * l : excess - l};
}

FASTVAE_INLINE LogScale<double> log_scale_in_range(double l) { return log_scale(l); }

// d - log r of r = var / var_p and d = r - 1, without cancellation where r is near 1: with w = d / (2 + d), log r is
// 2 atanh(w).
template <class T>
FASTVAE_INLINE T ratio_penalty(T d, T log_r) {
  const T w = d / (T(2) + d), square = w * w;
  T p = T(1) / T(25);
  if (sizeof(T) == 4) {
    p = T(1) / T(13);
  } else {
    p = fma(p, square, T(1) / T(23));
    p = fma(p, square, T(1) / T(21));
    p = fma(p, square, T(1) / T(19));
    p = fma(p, square, T(1) / T(17));
    p = fma(p, square, T(1) / T(15));
    p = fma(p, square, T(1) / T(13));
  }
  p = fma(p, square, T(1) / T(11));
  p = fma(p, square, T(1) / T(9));
  p = fma(p, square, T(1) / T(7));
  p = fma(p, square, T(1) / T(5));
  p = fma(p, square, T(1) / T(3));
  const T near = fma(w, d, T(-2) * (w * square) * p);
  const bool close = sizeof(T) == 4 ? (d >= T(-0.5)) & (d <= T(1)) : magnitude(d) <= T(0.4);
  return close ? near : d - log_r;
}

// log(a / b) of positive numbers, also where the quotient underflows.
template <class T>
FASTVAE_INLINE T log_quotient(T a, T b) {
  constexpr T kLogShrink = sizeof(T) == 4 ? T(-44.3614195558364998) : T(-354.891356446691999);
  const bool small = a < b * kShrink<T>;
  const T quotient = log((small ? a / kShrink<T> : a) / (small ? b * kShrink<T> : b));
  return small ? quotient + T(2) * kLogShrink : quotient;
}

}  // namespace
