// sigma of a raw scale before any floor, in the forms that reach sigma, or the variance, before its logarithm: one
// struct a base, with sigma and its derivative, and the variance and its derivative.
#pragma once
#include "kernels/elementary.h"

namespace {

// Bases that give sigma first share how the variance follows from it.
struct SigmaFirst {
  static constexpr bool kVarianceFirst = false;
  template <class T>
  static FASTVAE_INLINE T variance(T, T sigma) {
    return sigma * sigma;
  }
  template <class T>
  static FASTVAE_INLINE T dvariance(T, T sigma, T dsigma) {
    return T(2) * sigma * dsigma;
  }
};

template <int Rate>
struct ExponentialBase : SigmaFirst {
  template <class T>
  static FASTVAE_INLINE T sigma(T raw, T& dsigma) {
    const T value = exp(Rate == 1 ? T(0.5) * raw : raw);
    dsigma = T(0.5 * Rate) * value;
    return value;
  }
  template <class T>
  static FASTVAE_INLINE T variance(T raw, T) {
    return exp(Rate == 1 ? raw : T(2) * raw);
  }
};

struct StdBase : SigmaFirst {
  template <class T>
  static FASTVAE_INLINE T sigma(T raw, T& dsigma) {
    dsigma = T(1);
    return raw;
  }
};

struct SoftplusBase : SigmaFirst {
  template <class T>
  static FASTVAE_INLINE T sigma(T raw, T& dsigma) {
    const Logistic<T> l = logistic(raw);
    dsigma = l.sigmoid;
    return (raw > T(0) ? raw : T(0)) + l.softplus_negative_magnitude;
  }
};

struct VarianceBase {
  static constexpr bool kVarianceFirst = true;
  template <class T>
  static FASTVAE_INLINE T sigma(T raw, T& dsigma) {
    const T root = sqrt(raw);
    dsigma = T(0.5) / root;
    return root;
  }
  template <class T>
  static FASTVAE_INLINE T variance(T raw, T) {
    return raw;
  }
  template <class T>
  static FASTVAE_INLINE T dvariance(T, T, T) {
    return T(1);
  }
};

}  // namespace
