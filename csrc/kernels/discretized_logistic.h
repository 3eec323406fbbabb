// One level under one discretized logistic, and its derivatives.
//
// The level x of a channel, of width 2 H, has the probability sigma(p) - sigma(q) with p, q = (x - mean +- H) / scale.
// With u = |x - mean| / scale, h = H / scale, a = e^-u and b = e^-h it is
//   a (1 - b^2) / ((1 + a b) (a + b)),
// and where the level has all that lies beyond an edge, too, 1 / (1 + a b) if the mean lies on that side, and else
//   a / (a + b).
// Nothing cancels, and a level's probability needs two exponentials; a itself goes into the logarithm as -u.
#pragma once
#include "kernels/elementary.h"

namespace {

constexpr double kLeastLogScale = -7;

// Beyond these nothing changes in the last place, while products of three channels stay in range.
template <class T>
struct Bounds {
  static constexpr T decay = sizeof(T) == 4 ? T(43) : T(300);     // of u
  static constexpr T width = sizeof(T) == 4 ? T(80) : T(300);     // of h
  static constexpr T shared = sizeof(T) == 4 ? T(24) : T(40);     // of the smaller one of both
  static constexpr T log_scale = sizeof(T) == 4 ? T(16) : T(45);  // of log scales, in 1 - b^2
  static constexpr T inverse = sizeof(T) == 4 ? T(1.12535175e-7) : T(2.8625185805493937e-20);
};

FASTVAE_INLINE double at_least(double x, double bound) { return x < bound ? bound : x; }
FASTVAE_INLINE double at_most(double x, double bound) { return x > bound ? bound : x; }

// e^-x and 1 - e^-x for x >= 0.
template <class T>
struct Decay {
  T left, lost;
};

FASTVAE_INLINE Decay<float> decay(float x) {
  const Exponential e = exponential(-x, nearest_power(-x));
  const float scale = power_of_two(e.n);
  return {fma(e.u, scale, scale), fma(-scale, e.u, 1.0f - scale)};
}
FASTVAE_INLINE Decay<double> decay(double x) { return {libm::exp(-x), -libm::expm1(-x)}; }

// e^-x for x from -87 to infinity.
FASTVAE_INLINE float inverse_exp(float x) { return exp_negative_in_range(at_least(-x, -87.0f)); }
FASTVAE_INLINE double inverse_exp(double x) { return libm::exp(-x); }

// A pixel's target, where its level ends, and what of one component it meets.
template <class T>
struct Limits {
  T half, low, high;
};

// The log-probability of one level is exponent + log(factor); and its derivatives.
template <class T>
struct Level {
  T exponent, factor, of_mean, of_log_scale;
};

template <class T>
FASTVAE_INLINE Level<T> level(T x, T mean, T raw, const Limits<T>& limits) {
  using Bound = Bounds<T>;
  const bool clamped = raw < T(kLeastLogScale), low = x<limits.low, high = x> limits.high;
  const T log_scale = clamped ? T(kLeastLogScale) : raw;
  const T inverse = inverse_exp(log_scale), centered = x - mean;
  const T far = magnitude(centered) * inverse, wide = limits.half * at_least(inverse, Bound::inverse);
  // Both shrink alike where both are large: then only their difference counts.
  const T smaller_one = far < wide ? far : wide, shift = at_least(smaller_one - Bound::shared, T(0));
  const T u = far - shift, h = wide - shift;
  const Decay<T> a = decay(at_most(u, Bound::decay)), b = decay(at_most(h, Bound::width));
  const T product = a.left * b.left, one = T(1) + product, sum = a.left + b.left;
  const T inside = fma(b.lost, b.left, b.lost);  // 1 - b^2
  const bool below = centered < T(0), edge = low | high;
  const bool near = (low & !below) | (high & below);
  // Derivatives with respect to u, h and, through 1 - b^2, h again: quotients, which are exact far out.
  const T both = one * sum, towards = product * sum, away = b.left * one;
  const T within = b.left * fma(a.lost, a.left, a.lost);
  const T of_u = (edge ? (near ? towards : -away) : -within) / both;
  const T of_h = (edge ? (near ? towards : away) : towards + away) / both;
  const T of_inside = edge ? T(0) : T(2) * h * (b.left * b.left) / inside;
  const T slope = inverse * of_u;
  const T excess = at_most(Bound::log_scale - log_scale, T(0));
  Level<T> result;
  result.exponent = near ? T(0) : (edge ? -u : excess - u);
  result.factor = (edge ? (near ? sum : one) : inside) / both;
  result.of_mean = below ? slope : -slope;
  result.of_log_scale = clamped ? T(0) : -fma(far, of_u, fma(wide, of_h, of_inside));
  return result;
}

}  // namespace
