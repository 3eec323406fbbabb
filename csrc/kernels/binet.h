// Binet's function: what Stirling's formula leaves of lgamma.
#pragma once
#include "kernels/elementary.h"

namespace {

// Binet's function J(y) = lgamma(y) - (y - 1/2) log y + y - log(2 pi) / 2, and -J'(y).
template <class T>
struct Binet {
  T value, descent;
};

// For y >= 1, of 1 / y: minimax fits of y J(y) and -y^2 J'(y), off by 3e-9 and 1e-8.
FASTVAE_INLINE Binet<float> binet_above_1(float, float inverse) {
  float p = 1.3711382640841938e-4f;
  p = fma(p, inverse, -6.297529956948161e-4f);
  p = fma(p, inverse, 1.0447210444850545e-3f);
  p = fma(p, inverse, -5.0487753003064246e-5f);
  p = fma(p, inverse, -2.7733763968513896e-3f);
  p = fma(p, inverse, -7.899780762573097e-8f);
  p = fma(p, inverse, 8.333333090063126e-2f);
  float q = -2.5602622821925027e-4f;
  q = fma(q, inverse, 1.7736152026237286e-3f);
  q = fma(q, inverse, -4.785238083067311e-3f);
  q = fma(q, inverse, 5.834218311898678e-3f);
  q = fma(q, inverse, -3.8951947943303994e-4f);
  q = fma(q, inverse, -8.293125309842247e-3f);
  q = fma(q, inverse, -1.5928459191679595e-6f);
  q = fma(q, inverse, 8.333334371324888e-2f);
  return {p * inverse, q * (inverse * inverse)};
}
// Seven steps up, and Stirling's series there.
FASTVAE_INLINE Binet<double> binet_above_1(double y, double) {
  double value = 0, descent = 0;
  for (int step = 0; step < 7; ++step, y += 1.0) {
    const double w = 1.0 / (2.0 * y + 1.0), square = w * w;
    // (y + 1/2) log(1 + 1/y) - 1 = atanh(w) / w - 1 and, by y, 2 (w^2 - (w^2 / 3 + w^4 / 5 + ...) - ...)
    double p = 0, slope = 0;
    for (int power = 35; power > 1; power -= 2) {
      p = (p + 1.0 / power) * square;
      slope = (slope + (power - 1.0) / power) * square;
    }
    value += p;
    descent += 2.0 * w * slope;
  }
  const double inverse = 1.0 / y, square = inverse * inverse;
  double p = 1.0 / 156, q = 13.0 / 156;
  p = p * square - 691.0 / 360360, q = q * square - 11.0 * 691.0 / 360360;
  p = p * square + 1.0 / 1188, q = q * square + 9.0 / 1188;
  p = p * square - 1.0 / 1680, q = q * square - 7.0 / 1680;
  p = p * square + 1.0 / 1260, q = q * square + 5.0 / 1260;
  p = p * square - 1.0 / 360, q = q * square - 3.0 / 360;
  p = p * square + 1.0 / 12, q = q * square + 1.0 / 12;
  return {value + p * inverse, descent + q * square};
}

// For y > 0, 1 / y given.
template <class T>
FASTVAE_INLINE Binet<T> binet(T y, T inverse) {
  const bool below = y < T(1);
  const T above = y + T(1), inverse_above = T(1) / above;
  const Binet<T> b = binet_above_1(below ? above : y, below ? inverse_above : inverse);
  const T step = log(above * inverse);
  const T value = fma(y + T(0.5), step, T(-1)), descent = fma((y + T(0.5)) * inverse, inverse_above, -step);
  return {below ? b.value + value : b.value, below ? b.descent + descent : b.descent};
}

// log(n!) = lgamma(n + 1), 0 at 0.
template <class T>
FASTVAE_INLINE T log_factorial(T n) {
  const T y = n + T(1), value = fma(y - T(0.5), log(y), T(0.91893853320467274178) - y);
  return n == T(0) ? T(0) : value + binet_above_1(y, T(1) / y).value;
}

}  // namespace
