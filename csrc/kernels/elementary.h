// Elementary functions: branch-free in float32, so that compilers vectorise them, and from libm in float64. The names
// that end in _in_range hold for arguments of ordinary size only, in fewer steps.
// Polynomials: Cephes, single precision, except log1p on [0, 1], a minimax fit of degree 10. Horner steps are written
// out: a loop over a constant array silently stays scalar.
#pragma once
#include "bounds.h"
#include "kernels/common.h"

namespace {

#ifdef FASTVAE_HAS_FMA
FASTVAE_INLINE float fma(float a, float b, float c) { return libm::fma(a, b, c); }
#else
FASTVAE_INLINE float fma(float a, float b, float c) { return a * b + c; }
#endif

FASTVAE_INLINE double fma(double a, double b, double c) { return a * b + c; }

FASTVAE_INLINE float magnitude(float x) { return libm::fabs(x); }
FASTVAE_INLINE double magnitude(double x) { return libm::fabs(x); }

constexpr float kLn2High = 0.693359375f;
constexpr float kLn2Low = -2.12194440e-4f;

template <class T>
struct Largest {
  static constexpr T value = sizeof(T) == 4 ? T(3.40282346638528860e+38) : T(1.79769313486231571e+308);
};

// A power of two: a value of any size times this may be squared.
template <class T>
constexpr T kShrink = sizeof(T) == 4 ? T(0x1p-64) : T(0x1p-512);

constexpr double kHalfLogTwoPi = 0.91893853320467274178;

// (e^r - 1 - r) / r^2 for |r| <= ln(2) / 2.
FASTVAE_INLINE float exponential_polynomial(float r) {
  // Estrin's scheme: what bounds these loops is the length of the chain of operations, not their number.
  const float square = r * r;
  const float high = fma(1.9875691500e-4f, r, 1.3981999507e-3f), middle = fma(8.3334519073e-3f, r, 4.1665795894e-2f);
  const float low = fma(1.6666665459e-1f, r, 5.0000001201e-1f);
  return fma(fma(high, square, middle), square, low);
}

// e^x = 2^n (1 + u), u = r + q, with q = e^r - 1 - r exact to its own last places: nothing cancels where x is small.
struct Exponential {
  float u, q, r, rounded;
  int32_t n;
};

FASTVAE_INLINE float at_least(float x, float bound) { return x < bound ? bound : x; }  // NaN passes, here and below
FASTVAE_INLINE float at_most(float x, float bound) { return x > bound ? bound : x; }

// n + kRound.
FASTVAE_INLINE float nearest_power(float x) { return fma(x, 1.44269504088896341f, kRound); }

FASTVAE_INLINE Exponential exponential(float x, float power) {
  const float n = power - kRound;
  float r = fma(n, -kLn2High, x);
  r = fma(n, -kLn2Low, r);
  const float q = exponential_polynomial(r) * (r * r);
  return {r + q, q, r, n, to_bits(power) - 0x4B400000};
}

// Of a value of at least 0 that would be denormal: a loss of 0 must not run at the speed of denormals.
FASTVAE_INLINE float flushed(float value) { return value < 1.17549435e-38f ? 0.0f : value; }

// n * 2^23, wrapping, for any n.
FASTVAE_INLINE int32_t shifted_to_exponent(int32_t n) { return static_cast<int32_t>(static_cast<uint32_t>(n) << 23); }

FASTVAE_INLINE float power_of_two(int32_t n) { return from_bits(shifted_to_exponent(n + 127)); }

// 2^n comes in two factors, so that n = 128 overflows to infinity instead of wrapping.
FASTVAE_INLINE float exp(float x) {
  const float bounded = at_least(x, kLeastExponent);
  const Exponential e = exponential(bounded, at_most(nearest_power(bounded), kMostPower));
  const int32_t half = e.n >> 1;
  const float scale = power_of_two(half);
  return flushed(fma(e.u, scale, scale) * power_of_two(e.n - half));
}
FASTVAE_INLINE double exp(double x) { return libm::exp(x); }

// e^x for -87 <= x <= 0, where nothing underflows.
FASTVAE_INLINE float exp_negative_in_range(float x) {
  const Exponential e = exponential(x, nearest_power(x));
  const float scale = power_of_two(e.n);
  return fma(e.u, scale, scale);
}
FASTVAE_INLINE double exp_negative_in_range(double x) { return libm::exp(x); }

// value e^x, also where e^x alone is no float.
FASTVAE_INLINE float times_exp(float value, float x) {
  const float bounded = at_most(at_least(x, kLeastFactor), kMostFactor);
  const Exponential e = exponential(bounded, nearest_power(bounded));
  const int32_t half = e.n >> 1;
  const float scale = power_of_two(half);
  const float result = (value * fma(e.u, scale, scale)) * power_of_two(e.n - half);
  return magnitude(result) < 1.17549435e-38f ? 0.0f : result;  // see flushed
}
FASTVAE_INLINE double times_exp(double value, double x) {
  const auto at_most_700 = [](double of) { return of < -700.0 ? -700.0 : (of > 700.0 ? 700.0 : of); };
  const double near = at_most_700(x), rest = x - near, factor = value * libm::exp(near);
  // A denormal has a product in range up to 1,455.
  return rest == 0.0 ? factor
                     : factor * libm::exp(at_most_700(rest)) * libm::exp(at_most_700(rest - at_most_700(rest)));
}

// The same for |x| <= 87.
FASTVAE_INLINE float times_exp_in_range(float value, float x) {
  const Exponential e = exponential(x, nearest_power(x));
  const float scale = power_of_two(e.n);
  return value * fma(e.u, scale, scale);
}
FASTVAE_INLINE double times_exp_in_range(double value, double x) { return value * libm::exp(x); }

// e^x for x <= 0: what a logistic needs of it, in half the steps.
FASTVAE_INLINE float exp_negative(float x) {
  return flushed(exp_negative_in_range(at_least(x, kLeastNegative)));  // there 2^n, n = -127, has the bits of 0
}
FASTVAE_INLINE double exp_negative(double x) { return libm::exp(x); }

FASTVAE_INLINE int32_t magnitude_bits(float x) { return to_bits(x) & 0x7FFFFFFF; }

FASTVAE_INLINE float log(float x) {
  const bool tiny = x < 1.17549435e-38f;
  const float normal = tiny ? x * 8388608.0f : x;
  const int32_t bits = magnitude_bits(normal);
  const int32_t exponent = (bits - 0x3F3504F3) >> 23;
  const float f = from_bits(bits - shifted_to_exponent(exponent)) - 1.0f;
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
  y = x < kInfinity<float> ? y : x;  // infinity and NaN
  y = x == 0.0f ? -kInfinity<float> : y;
  return x < 0.0f ? kNan<float> : y;
}
FASTVAE_INLINE double log(double x) { return libm::log(x); }

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
FASTVAE_INLINE double log1p_unit(double x) { return libm::log1p(x); }

// log(1 + x) for x in [-1, 0]: the rounding of 1 + x is given back.
FASTVAE_INLINE float log1p_negative(float x) {
  const float sum = 1.0f + x;
  const float lost = x - (sum - 1.0f);
  const float y = log(sum);
  return sum > 0.0f ? y + lost / sum : y;
}
FASTVAE_INLINE double log1p_negative(double x) { return libm::log1p(x); }

FASTVAE_INLINE float sqrt(float x) { return libm::sqrt(x); }
FASTVAE_INLINE double sqrt(double x) { return libm::sqrt(x); }
FASTVAE_INLINE float minus_magnitude(float x) { return from_bits(to_bits(x) | static_cast<int32_t>(0x80000000u)); }
FASTVAE_INLINE double minus_magnitude(double x) { return -libm::fabs(x); }

template <class T>
struct Logistic {
  T sigmoid, softplus_negative_magnitude;  // softplus(-|x|) = log(1 + e^-|x|)
};

// InRange: |x| <= 87.
template <bool InRange = false, class T>
FASTVAE_INLINE Logistic<T> logistic(T x) {
  const T e = InRange ? exp_negative_in_range(minus_magnitude(x)) : exp_negative(minus_magnitude(x));
  const T inverse = T(1) / (T(1) + e);
  return {x < T(0) ? e * inverse : inverse, log1p_unit(e)};
}

}  // namespace
