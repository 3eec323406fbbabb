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

// sigma, its variance where that is reached before sigma, and the derivatives of sigma and of log sigma^2 by the raw
// scale. `logvar` is log sigma^2 in the forms, or where in a form, that is linear in the raw scale.
template <class T>
struct Scale {
  T sigma, variance, dsigma, dlogvar, logvar;
};

// Of r = var / var_p: r - 1 and r - 1 - log r.
template <class T>
struct Ratio {
  T excess, penalty;
};

// A form gives, besides `at` and `ratio`: distance (x / sigma)^2, x / sigma^2 and log |sigma|. No square and no inverse
// of sigma stands on the way to a number in range: they leave it long before sigma does.

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
  static FASTVAE_INLINE T times_exp_of(T value, T x) {
    return Common ? times_exp_common(value, x) : times_exp(value, x);
  }
  template <class T>
  static FASTVAE_INLINE Scale<T> at(T raw, const Floors<T>&) {
    const T l = Rate == 1 ? raw : T(2) * raw, sigma = scale_of(l).sigma;
    return {sigma, T(0), T(0.5 * Rate) * sigma, T(Rate), l};
  }
  template <class T>
  static FASTVAE_INLINE Ratio<T> ratio(const Scale<T>& q, const Floors<T>&) {
    const LogScale<T> l = scale_of(q.logvar);
    return {l.excess, l.penalty};
  }
  template <class T>
  static FASTVAE_INLINE Ratio<T> ratio(const Scale<T>& q, const Scale<T>& p, const Floors<T>&) {
    const LogScale<T> l = scale_of(q.logvar - p.logvar);
    return {l.excess, l.penalty};
  }
  template <class T>
  static FASTVAE_INLINE T distance(T value, const Scale<T>& p, const Floors<T>&) {
    const T quotient = times_exp_of(value, T(-0.5) * p.logvar);
    return quotient * quotient;
  }
  template <class T>
  static FASTVAE_INLINE T over_variance(T value, const Scale<T>& p, const Floors<T>&) {
    return times_exp_of(value, -p.logvar);
  }
  template <class T>
  static FASTVAE_INLINE T log_sigma(const Scale<T>& q) {
    return T(0.5) * q.logvar;
  }
};

// sigma under a floor of the variance, also where the variance overflows.
template <class T>
FASTVAE_INLINE T root_of_floored(T sigma, T floored, T min_var) {
  constexpr T kShift = sizeof(T) == 4 ? T(0x1p-64) : T(0x1p-512);
  const T shrunk = sigma * kShift;
  return magnitude(floored) <= Largest<T>::value ? sqrt(floored)
                                                 : sqrt(shrunk * shrunk + min_var * kShift * kShift) / kShift;
}

// The forms that reach sigma first, or the variance. Base::sigma gives sigma before a floor and its derivative.
template <class Base, bool Floored>
struct LinearForm {
  static constexpr double kCommon = 0;

  template <class T>
  static FASTVAE_INLINE Scale<T> at(T raw, const Floors<T>& f) {
    T dsigma, sigma = Base::sigma(raw, dsigma);
    T variance = Base::variance(raw, sigma), dvariance = Base::dvariance(raw, sigma, dsigma);
    if (Floored) {
      const bool by_sigma = f.min_std > T(0);
      const T raised = sigma + f.min_std, floored = variance + f.min_var;
      const T root = by_sigma ? raised : root_of_floored(sigma, floored, f.min_var);
      const T slope = magnitude(floored) <= Largest<T>::value ? T(0.5) * dvariance / root : dsigma;
      dsigma = by_sigma ? dsigma : slope;
      sigma = root;
      variance = floored;
    }
    const T by_square = dvariance / variance, by_root = T(2) * dsigma / sigma;
    return {sigma, variance, dsigma, by_variance(variance, f) ? by_square : by_root, T(0)};
  }
  template <class T>
  static FASTVAE_INLINE Ratio<T> ratio(const Scale<T>& q, const Floors<T>& f) {
    const T excess = variance_first(f) ? q.variance - T(1) : (q.sigma - T(1)) * (q.sigma + T(1));
    return {excess, ratio_penalty(excess, T(2) * log_sigma(q))};
  }
  template <class T>
  static FASTVAE_INLINE Ratio<T> ratio(const Scale<T>& q, const Scale<T>& p, const Floors<T>& f) {
    const T a = magnitude(q.sigma), b = magnitude(p.sigma), u = (a - b) / b;
    const T by_square = (q.variance - p.variance) / p.variance, by_root = u * (u + T(2));
    const T excess = by_variance(q.variance, f) & by_variance(p.variance, f) ? by_square : by_root;
    const T log_r = kExact ? log_quotient(q.variance, p.variance) : T(2) * log_quotient(a, b);
    return {excess, ratio_penalty(excess, log_r)};
  }
  template <class T>
  static FASTVAE_INLINE T distance(T value, const Scale<T>& p, const Floors<T>& f) {
    const T quotient = value / p.sigma, by_square = value * (value / p.variance), by_root = quotient * quotient;
    return by_variance(p.variance, f) ? by_square : by_root;
  }
  template <class T>
  static FASTVAE_INLINE T over_variance(T value, const Scale<T>& p, const Floors<T>& f) {
    const T by_square = value / p.variance, by_root = value / p.sigma / p.sigma;
    return by_variance(p.variance, f) ? by_square : by_root;
  }
  template <class T>
  static FASTVAE_INLINE T log_sigma(const Scale<T>& q) {
    return kExact ? T(0.5) * log(q.variance) : log(magnitude(q.sigma));
  }

 private:
  static constexpr bool kExact = Base::kVarianceFirst && !Floored;  // the variance is the raw scale

  template <class T>
  static FASTVAE_INLINE bool variance_first(const Floors<T>& f) {
    return Floored ? f.min_var > T(0) : Base::kVarianceFirst;
  }
  // Is the variance the more exact, and in range?
  template <class T>
  static FASTVAE_INLINE bool by_variance(T variance, const Floors<T>& f) {
    return Floored ? (f.min_var > T(0)) & (variance <= Largest<T>::value) : Base::kVarianceFirst;
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

// softplus without a floor: log_std where it is e^raw to the last place, for there sigma vanishes long before its
// logarithm says anything unusual.
struct SoftplusForm {
  static constexpr double kCommon = 0;
  using Linear = LinearForm<SoftplusBase, false>;
  using Exponential = LogForm<2>;

  template <class T>
  static FASTVAE_INLINE bool exponential(T logvar) {
    return logvar < (sizeof(T) == 4 ? T(-34) : T(-80));
  }
  template <class T>
  static FASTVAE_INLINE Scale<T> at(T raw, const Floors<T>& f) {
    const Scale<T> q = Linear::at(raw, f);
    const T logvar = T(2) * raw;
    return {q.sigma, q.variance, q.dsigma, exponential(logvar) ? T(2) : q.dlogvar, logvar};
  }
  template <class T>
  static FASTVAE_INLINE Ratio<T> ratio(const Scale<T>& q, const Floors<T>& f) {
    const T excess = Linear::ratio(q, f).excess;
    return {excess, ratio_penalty(excess, T(2) * log_sigma(q))};
  }
  template <class T>
  static FASTVAE_INLINE Ratio<T> ratio(const Scale<T>& q, const Scale<T>& p, const Floors<T>& f) {
    const Ratio<T> both = Exponential::ratio(q, p, f), linear = Linear::ratio(q, p, f);
    const T beyond = linear.excess - T(2) * (log_sigma(q) - log_sigma(p));
    const bool small = exponential(q.logvar), small_p = exponential(p.logvar);
    return {small & small_p ? both.excess : linear.excess, small ? (small_p ? both.penalty : beyond) : linear.penalty};
  }
  template <class T>
  static FASTVAE_INLINE T distance(T value, const Scale<T>& p, const Floors<T>& f) {
    return exponential(p.logvar) ? Exponential::distance(value, p, f) : Linear::distance(value, p, f);
  }
  template <class T>
  static FASTVAE_INLINE T over_variance(T value, const Scale<T>& p, const Floors<T>& f) {
    return exponential(p.logvar) ? Exponential::over_variance(value, p, f) : Linear::over_variance(value, p, f);
  }
  template <class T>
  static FASTVAE_INLINE T log_sigma(const Scale<T>& q) {
    return exponential(q.logvar) ? Exponential::log_sigma(q) : Linear::log_sigma(q);
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
    case Form::softplus: return floored ? visit(LinearForm<SoftplusBase, true>{}) : visit(SoftplusForm{});
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
