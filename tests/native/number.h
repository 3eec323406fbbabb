// The known answers are formulas in float64 which carry what rounding may do to them: Wilkinson's running error bound,
// in units of the roundoff of the kernel's compute type. Derivatives come with the value, by forward differentiation.
#pragma once
#include <cmath>

namespace native {

// An operation adds one unit of its result, an elementary function a few: its own error in ulp.
constexpr double kElementary = 4;

struct Number {
  double value = 0, error = 0;

  Number(double value = 0) : value(value) {}
  Number(double value, double error) : value(value), error(error) {}
};

// f of x, with its derivative there.
inline Number through(const Number& x, double value, double slope) {
  return {value, std::fabs(slope) * x.error + kElementary * std::fabs(value)};
}
inline Number rounded(double value, double error) { return {value, error + std::fabs(value)}; }

inline Number operator-(const Number& a) { return {-a.value, a.error}; }
inline Number operator+(const Number& a, const Number& b) { return rounded(a.value + b.value, a.error + b.error); }
inline Number operator-(const Number& a, const Number& b) { return a + -b; }
inline Number operator*(const Number& a, const Number& b) {
  return rounded(a.value * b.value, std::fabs(a.value) * b.error + std::fabs(b.value) * a.error);
}
inline Number operator/(const Number& a, const Number& b) {
  const double quotient = a.value / b.value;
  return rounded(quotient, (a.error + std::fabs(quotient) * b.error) / std::fabs(b.value));
}
inline Number exp(const Number& x) { return through(x, std::exp(x.value), std::exp(x.value)); }
inline Number log(const Number& x) { return through(x, std::log(x.value), 1 / x.value); }
// 1 - e^-x.
inline Number decayed(const Number& x) { return through(x, -std::expm1(-x.value), std::exp(-x.value)); }
inline Number sqrt(const Number& x) { return through(x, std::sqrt(x.value), 0.5 / std::sqrt(x.value)); }

// The derivatives of log Gamma: by recurrence to where their asymptotic series converge.
inline double trigamma(double x) {
  double below = 0;
  for (; x < 12; x += 1) below += 1 / (x * x);
  const double s = 1 / (x * x);
  return below + 1 / x + s / 2 + s / x * (1.0 / 6 - s * (1.0 / 30 - s * (1.0 / 42 - s * (1.0 / 30 - s * 5 / 66))));
}
inline double digamma(double x) {
  double below = 0;
  for (; x < 12; x += 1) below -= 1 / x;
  const double s = 1 / (x * x);
  return below + std::log(x) - 0.5 / x - s * (1.0 / 12 - s * (1.0 / 120 - s * (1.0 / 252 - s * (1.0 / 240 - s / 132))));
}
inline Number lgamma(const Number& x) { return through(x, std::lgamma(x.value), digamma(x.value)); }
inline Number digamma(const Number& x) { return through(x, digamma(x.value), trigamma(x.value)); }

// A value and its derivative by one of the operands.
struct Dual {
  Number value, slope;

  Dual(double value = 0) : value(value) {}
  Dual(const Number& value, const Number& slope) : value(value), slope(slope) {}
};

inline Dual operator-(const Dual& a) { return {-a.value, -a.slope}; }
inline Dual operator+(const Dual& a, const Dual& b) { return {a.value + b.value, a.slope + b.slope}; }
inline Dual operator-(const Dual& a, const Dual& b) { return {a.value - b.value, a.slope - b.slope}; }
inline Dual operator*(const Dual& a, const Dual& b) {
  return {a.value * b.value, a.slope * b.value + a.value * b.slope};
}
inline Dual operator/(const Dual& a, const Dual& b) {
  const Number quotient = a.value / b.value;
  return {quotient, (a.slope - quotient * b.slope) / b.value};
}
inline Dual exp(const Dual& x) {
  const Number value = exp(x.value);
  return {value, value * x.slope};
}
inline Dual log(const Dual& x) { return {log(x.value), x.slope / x.value}; }
inline Dual decayed(const Dual& x) { return {decayed(x.value), exp(-x.value) * x.slope}; }
inline Dual sqrt(const Dual& x) {
  const Number value = sqrt(x.value);
  return {value, x.slope / (Number(2) * value)};
}
inline Dual lgamma(const Dual& x) { return {lgamma(x.value), digamma(x.value) * x.slope}; }
inline Dual square(const Dual& x) { return x * x; }
inline Dual softplus(const Dual& x) { return log(Dual(1) + exp(x)); }
inline Dual sigmoid(const Dual& x) { return Dual(1) / (Dual(1) + exp(-x)); }
inline Dual tanh(const Dual& x) { return Dual(1) - Dual(2) / (Dual(1) + exp(Dual(2) * x)); }
inline Dual magnitude(const Dual& x) { return x.value.value < 0 ? -x : x; }
inline Dual clamped(const Dual& x, double low, double high) {
  return x.value.value < low ? Dual(low) : x.value.value > high ? Dual(high) : x;
}

}  // namespace native
