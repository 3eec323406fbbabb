// The negative binomial at one element: loss and derivatives, from terms that do not cancel. The formula, and where it
// is from: fastvae/reference/negative_binomial_nll.py.
#pragma once
#include "kernels/binet.h"
#include "kernels/elementary.h"
#include "kernels/variance_ratio.h"

namespace {

// e - log(1 + e) and log(1 + e), for e of any size whose 1 + e, which is given, is neither denormal nor infinite. Each
// has its relative accuracy at 0. Only the first is sure to be NaN where e is.
template <class T>
struct Logarithm {
  T deficit, value;
};

FASTVAE_INLINE Logarithm<float> logarithm(float e, float one_plus_e) {
  const int32_t bits = magnitude_bits(one_plus_e), exponent = (bits - 0x3F3504F3) >> 23;
  const bool near = exponent == 0;
  const float f = near ? e : from_bits(bits - shifted_to_exponent(exponent)) - 1.0f;
  float p = 7.0376836292e-2f;  // as in log
  p = fma(p, f, -1.1514610310e-1f);
  p = fma(p, f, 1.1676998740e-1f);
  p = fma(p, f, -1.2420140846e-1f);
  p = fma(p, f, 1.4249322787e-1f);
  p = fma(p, f, -1.6668057665e-1f);
  p = fma(p, f, 2.0000714765e-1f);
  p = fma(p, f, -2.4999993993e-1f);
  p = fma(p, f, 3.3333331174e-1f);
  const float square = f * f * fma(-f, p, 0.5f), n = static_cast<float>(exponent);
  const float linear = fma(n, kLn2High, fma(n, kLn2Low, f));  // f itself where n is 0
  return {(e - linear) + square, linear - square};
}
FASTVAE_INLINE Logarithm<double> logarithm(double e, double one_plus_e) {
  const double log_r = libm::log(one_plus_e);
  return {ratio_penalty(e, log_r), magnitude(e) < 0.3 ? libm::log1p(e) : log_r};
}

// The loss and its derivatives by the mean (by its logarithm, where that is the input: Log), the inverse dispersion and
// the logit of zero inflation.
template <class T>
struct CountTerms {
  T loss, by_mean, by_dispersion, by_logit;
};

// At x = 0, of the mean m e^excess: excess is 0, or m so large that t is nothing beside it.
template <bool Log, class T>
FASTVAE_INLINE CountTerms<T> terms_of_zero(T m, T t, T excess) {
  const T r = m / t, sum = T(1) + r, inverse = T(1) / sum, p = r * inverse;
  const T lost = r < T(1) ? r - (sum - T(1)) : T(1) - (sum - r);
  const Logarithm<T> log = logarithm(r, sum);
  const bool near = r < T(0.3);
  const T value = (near ? log.value : fma(lost, inverse, log.value)) + excess;  // log(1 + m / t)
  return {t * value, Log ? t * p : inverse, near ? fma(r, p, -log.deficit) : value - p, T(0)};
}

FASTVAE_INLINE float one_minus_exp(float loss) {  // 1 - e^-loss, of a loss of at least 0
  const float x = at_least(-loss, kLeastNegative);
  const Exponential e = exponential(x, nearest_power(x));
  const float power = power_of_two(e.n);
  return fma(-power, e.u, 1.0f - power);
}
FASTVAE_INLINE double one_minus_exp(double loss) { return -libm::expm1(-loss); }

// sigmoid(x) and sigmoid(-x).
template <class T>
struct Odds {
  T of, against;
};

// Of e = e^-|x| and 1 / (1 + e).
template <class T>
FASTVAE_INLINE Odds<T> odds(T x, T e, T larger) {
  const T smaller = e * larger;
  return {x < T(0) ? smaller : larger, x < T(0) ? larger : smaller};
}

// With zero inflation q: the terms at 0 from those without it, those of a count but for what its own density gives.
template <class T>
FASTVAE_INLINE CountTerms<T> inflated(bool zero, const CountTerms<T>& plain, T q) {
  const T a = -plain.loss - q, e_q = exp_negative(minus_magnitude(q)), e_a = exp_negative(minus_magnitude(a));
  const T over_a = T(1) / (T(1) + e_a);
  const Odds<T> inflation = odds(q, e_q, T(1) / (T(1) + e_q)), drawn = odds(a, e_a, over_a);  // from the density
  const T outside = inflation.against * one_minus_exp(plain.loss);                            // 1 - p(0)
  const bool near = outside <= T(0.5);
  const T above = -q < plain.loss ? -q : plain.loss;  // where p(0) is small, from the larger of its two terms
  const T far = (e_q - e_a) * over_a;
  const T e = zero ? (near ? -outside : far) : e_q;
  const T log = e - logarithm(e, T(1) + e).deficit;
  const T at_zero = near ? -log : above + log;
  const T positive = q > T(0) ? q : T(0);
  return {zero ? at_zero : positive + log, drawn.of * plain.by_mean, drawn.of * plain.by_dispersion,
          zero ? -outside * drawn.against : inflation.of};
}

// At x > 0, of the mean m e^(excess - lack): both are 0, or one where m is so large, or so small, that of the sum t + m
// only the larger is left. AnyCount: also of x < 1.
template <bool Log, bool AnyCount, class T>
FASTVAE_INLINE CountTerms<T> terms_of_count(T x, T m, T t, T excess, T lack) {
  const T inverse = T(1) / (t + m), d = x - m, e = d * inverse;
  const T sum = t + x, over_t = T(1) / t, over_x = T(1) / x, over_sum = T(1) / sum, ratio = sum * inverse;
  const T above = logarithm(e, ratio).deficit + excess;
  const T below = logarithm(-(t * inverse) * (d * over_x), (m * over_x) * ratio).deficit + lack;
  const Binet<T> of_t = binet(t, over_t);
  const Binet<T> of_x = AnyCount ? binet(x, over_x) : binet_above_1(x, over_x);
  const Binet<T> of_sum = AnyCount ? binet(sum, over_sum) : binet_above_1(sum, over_sum);
  const T remainder = fma(T(0.5), log(T(6.28318530717958647693) * x * (sum * over_t)), of_x.value);
  const T loss = fma(t, above, fma(x, below, remainder + (of_t.value - of_sum.value)));
  const T by_dispersion = above - fma(T(0.5) * x * over_t, over_sum, of_t.descent - of_sum.descent);
  return {loss, Log ? -t * e : -t * e / m, by_dispersion, T(0)};
}

}  // namespace
