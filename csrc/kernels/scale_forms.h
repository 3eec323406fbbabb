// What a raw scale means. One struct a form; every kernel that takes a scale is a template over it.
#pragma once
#include "kernels/math.h"

namespace {

template <class T>
struct Floors {
  T low, high, min_std, min_var;
};

template <class T>
Floors<T> floors(const ScaleOptions& options) {
  return {static_cast<T>(options.low), static_cast<T>(options.high), static_cast<T>(options.min_std),
          static_cast<T>(options.min_var)};
}

// As torch.clamp: NaN passes, and so does the gradient on the bounds.
template <class T>
FASTVAE_INLINE T clamped(T raw, const Floors<T>& f) {
  raw = raw < f.low ? f.low : raw;
  return raw > f.high ? f.high : raw;
}
template <class T>
FASTVAE_INLINE T clamp_mask(T raw, const Floors<T>& f, T gradient) {
  return (raw < f.low) | (raw > f.high) ? T(0) : gradient;
}

// sigma, its variance, and the derivatives of sigma and of log sigma^2 by the raw scale. Forms that start from
// `logvar`, log sigma^2, have no need of the variance; the others none of a logarithm.
template <class T>
struct Scale {
  T sigma, variance, dsigma, dlogvar, logvar;
};

// Of r = var / var_p: excess r - 1, penalty r - 1 - log r, precision 1 / var_p.
template <class T>
struct Ratio {
  T excess, penalty, precision;
};

// logvar (rate 1) and log_std (rate 2) without a floor: everything comes from log sigma^2, and in fewer steps where
// that is of a common size.
template <int Rate, bool Common = false>
struct LogForm {
  static constexpr double kCommon = 40.0 / Rate;
  using CommonForm = LogForm<Rate, true>;

  template <class T>
  static FASTVAE_INLINE LogScale<T> scale_of(T l) {
    return Common ? log_scale_common(l) : log_scale(l);
  }
  template <class T>
  static FASTVAE_INLINE Scale<T> at(T raw, const Floors<T>&) {
    const T l = Rate == 1 ? raw : T(2) * raw, sigma = scale_of(l).sigma;
    return {sigma, T(0), T(0.5 * Rate) * sigma, T(Rate), l};
  }
  template <class T>
  static FASTVAE_INLINE Ratio<T> ratio(const Scale<T>& q, const Floors<T>&) {
    const LogScale<T> l = scale_of(q.logvar);
    return {l.excess, l.penalty, T(1)};
  }
  template <class T>
  static FASTVAE_INLINE Ratio<T> ratio(const Scale<T>& q, const Scale<T>& p, const Floors<T>&) {
    const LogScale<T> l = scale_of(q.logvar - p.logvar);
    return {l.excess, l.penalty, precision(p)};
  }
  template <class T>
  static FASTVAE_INLINE T precision(const Scale<T>& p) {
    return exp(-p.logvar);
  }
  template <class T>
  static FASTVAE_INLINE T log_sigma(const Scale<T>& q) {
    return T(0.5) * q.logvar;
  }
};

// The forms that reach sigma first. Base::sigma gives sigma before a floor and its derivative.
template <class Base, bool Floored>
struct LinearForm {
  static constexpr double kCommon = 0;

  template <class T>
  static FASTVAE_INLINE Scale<T> at(T raw, const Floors<T>& f) {
    T dsigma, sigma = Base::sigma(raw, dsigma);
    T variance = Base::variance(raw, sigma);
    if (Floored) {
      const T raised = sigma + f.min_std;
      const T floored = f.min_std > T(0) ? raised * raised : variance + f.min_var;
      const T root = f.min_std > T(0) ? raised : sqrt(floored);
      dsigma = f.min_std > T(0) ? dsigma : T(0.5) * Base::dvariance(raw, sigma, dsigma) / root;
      sigma = root;
      variance = floored;
    }
    return {sigma, variance, dsigma, T(2) * dsigma / sigma, T(0)};
  }
  template <class T>
  static FASTVAE_INLINE Ratio<T> ratio(const Scale<T>& q, const Floors<T>& f) {
    const T by_sigma = (q.sigma - T(1)) * (q.sigma + T(1)), by_variance = q.variance - T(1);
    const T excess = Base::kVarianceFirst || f.min_var > T(0) ? by_variance : by_sigma;
    return {excess, ratio_penalty(excess, q.variance), T(1)};
  }
  template <class T>
  static FASTVAE_INLINE Ratio<T> ratio(const Scale<T>& q, const Scale<T>& p, const Floors<T>& f) {
    const T by_sigma = (q.sigma - p.sigma) * (q.sigma + p.sigma), by_variance = q.variance - p.variance;
    const T difference = Base::kVarianceFirst || f.min_var > T(0) ? by_variance : by_sigma;
    const T excess = difference / p.variance;
    return {excess, ratio_penalty(excess, q.variance / p.variance), precision(p)};
  }
  template <class T>
  static FASTVAE_INLINE T precision(const Scale<T>& p) {
    return T(1) / p.variance;
  }
  template <class T>
  static FASTVAE_INLINE T log_sigma(const Scale<T>& q) {
    return T(0.5) * log(q.variance);
  }
};

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

// Calls visit(form) with the form the options name.
template <class Visit>
void with_form(const ScaleOptions& options, const Visit& visit) {
  const bool floored = options.min_std > 0 || options.min_var > 0;
  switch (options.form) {
    case Form::logvar: return floored ? visit(LinearForm<ExponentialBase<1>, true>{}) : visit(LogForm<1>{});
    case Form::log_std: return floored ? visit(LinearForm<ExponentialBase<2>, true>{}) : visit(LogForm<2>{});
    case Form::std: return floored ? visit(LinearForm<StdBase, true>{}) : visit(LinearForm<StdBase, false>{});
    case Form::softplus:
      return floored ? visit(LinearForm<SoftplusBase, true>{}) : visit(LinearForm<SoftplusBase, false>{});
    case Form::variance:
      return floored ? visit(LinearForm<VarianceBase, true>{}) : visit(LinearForm<VarianceBase, false>{});
  }
}

// Are all scales of a posterior, and of its prior where there is one, at most `bound` in magnitude, clamped and not?
template <class T>
bool common_scales(const Floors<T>& f, const T* raw, const T* raw_p, int64_t n, double bound) {
  const T limit = static_cast<T>(bound);
  return magnitude(clamped(T(0), f)) <= limit && bounded(raw, n, limit) && bounded(raw_p, n, limit);
}

}  // namespace
