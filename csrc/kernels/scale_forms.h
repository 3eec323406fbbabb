// How a raw scale becomes sigma, and what follows from it. One struct a form; every kernel that takes a scale is a
// template over it.
#pragma once
#include "kernels/fast_range.h"
#include "kernels/scale_bases.h"
#include "kernels/variance_ratio.h"
#include "kernels/variants.h"

namespace {

template <class T>
struct ScaleLimits {
  T low, high, min_std, min_var;
};

template <class T>
ScaleLimits<T> scale_limits(const ScaleOptions& options) {
  return {static_cast<T>(options.low), static_cast<T>(options.high), static_cast<T>(options.min_std),
          static_cast<T>(options.min_var)};
}

// As torch.clamp: NaN passes, and so does the gradient on the bounds.
template <class T>
FASTVAE_INLINE T clamped(T raw, const ScaleLimits<T>& limits) {
  raw = raw < limits.low ? limits.low : raw;
  return raw > limits.high ? limits.high : raw;
}
template <class T>
FASTVAE_INLINE T clamp_mask(T raw, const ScaleLimits<T>& limits, T gradient) {
  return ((raw < limits.low) | (raw > limits.high)) ? T(0) : gradient;
}

// sigma, its derivative by the raw scale, and what some forms have at hand: `variance` is sigma^2 in those that reach
// it before sigma, and `dvariance` its derivative; `logvar` is log sigma^2 where that is linear in the raw scale.
template <class T>
struct Scale {
  T sigma, variance, dsigma, dvariance, logvar;
};

// Of r = var / var_p: r - 1 and r - 1 - log r.
template <class T>
struct Ratio {
  T excess, penalty;
};

// A form gives, besides `at` and `ratio`: distance (x / sigma)^2, x / sigma^2, log |sigma|, and x d log sigma^2 / d
// raw, `to_raw`. No square and no inverse of sigma stands on the way to a number in range: they leave it long before
// sigma does.

// logvar (rate 1) and log_std (rate 2) without a floor: everything comes from log sigma^2.
template <int Rate, bool InRange = false>
struct LogForm {
  static constexpr double kFastRange = 40.0 / Rate;
  using FastForm = LogForm<Rate, true>;

  template <class T>
  static FASTVAE_INLINE LogScale<T> scale_of(T l) {
    return InRange ? log_scale_in_range(l) : log_scale(l);
  }
  template <class T>
  static FASTVAE_INLINE T times_exp_of(T value, T x) {
    return InRange ? times_exp_in_range(value, x) : times_exp(value, x);
  }
  template <class T>
  static FASTVAE_INLINE Scale<T> at(T raw, const ScaleLimits<T>&) {
    const T l = Rate == 1 ? raw : T(2) * raw, sigma = scale_of(l).sigma;
    return {sigma, T(0), T(0.5 * Rate) * sigma, T(0), l};
  }
  template <class T>
  static FASTVAE_INLINE T to_raw(T value, const Scale<T>&, const ScaleLimits<T>&) {
    return T(Rate) * value;
  }
  template <class T>
  static FASTVAE_INLINE Ratio<T> ratio(const Scale<T>& q, const ScaleLimits<T>&) {
    const LogScale<T> l = scale_of(q.logvar);
    return {l.excess, l.penalty};
  }
  template <class T>
  static FASTVAE_INLINE Ratio<T> ratio(const Scale<T>& q, const Scale<T>& p, const ScaleLimits<T>&) {
    const LogScale<T> l = scale_of(q.logvar - p.logvar);
    return {l.excess, l.penalty};
  }
  template <class T>
  static FASTVAE_INLINE T distance(T value, const Scale<T>& p, const ScaleLimits<T>&) {
    const T quotient = times_exp_of(value, T(-0.5) * p.logvar);
    return quotient * quotient;
  }
  template <class T>
  static FASTVAE_INLINE T over_variance(T value, const Scale<T>& p, const ScaleLimits<T>&) {
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
  const T shrunk = sigma * kShrink<T>;
  return magnitude(floored) <= Largest<T>::value
             ? sqrt(floored)
             : sqrt(shrunk * shrunk + min_var * kShrink<T> * kShrink<T>) / kShrink<T>;
}

// The forms that reach sigma, or the variance, before its logarithm; see scale_bases.h. Floored: with min_std or
// min_var.
template <class Base, bool Floored>
struct LinearForm {
  static constexpr double kFastRange = 0;

  template <class T>
  static FASTVAE_INLINE Scale<T> at(T raw, const ScaleLimits<T>& limits) {
    T dsigma, sigma = Base::sigma(raw, dsigma);
    T variance = Base::variance(raw, sigma), dvariance = Base::dvariance(raw, sigma, dsigma);
    if (Floored) {
      const bool by_sigma = limits.min_std > T(0);
      const T raised = sigma + limits.min_std, floored = variance + limits.min_var;
      const T root = by_sigma ? raised : root_of_floored(sigma, floored, limits.min_var);
      const T slope = magnitude(floored) > Largest<T>::value ? dsigma : T(0.5) * dvariance / root;  // NaN of NaN
      dsigma = by_sigma ? dsigma : slope;
      sigma = root;
      variance = floored;
    }
    return {sigma, variance, dsigma, dvariance, T(0)};
  }
  // Without a floor sigma may be so small that its inverse is infinite; under one a tiny slope may meet a large value.
  template <class T>
  static FASTVAE_INLINE T to_raw(T value, const Scale<T>& q, const ScaleLimits<T>& limits) {
    if (!Floored) return Base::kVarianceFirst ? value / q.variance : T(2) * (value * q.dsigma / q.sigma);
    const T by_square = q.dvariance / q.variance, by_root = T(2) * q.dsigma / q.sigma;
    return value * (by_variance(q.variance, limits) ? by_square : by_root);
  }
  template <class T>
  static FASTVAE_INLINE Ratio<T> ratio(const Scale<T>& q, const ScaleLimits<T>& limits) {
    const T excess = variance_first(limits) ? q.variance - T(1) : (q.sigma - T(1)) * (q.sigma + T(1));
    return {excess, ratio_penalty(excess, T(2) * log_sigma(q))};
  }
  template <class T>
  static FASTVAE_INLINE Ratio<T> ratio(const Scale<T>& q, const Scale<T>& p, const ScaleLimits<T>& limits) {
    const T a = magnitude(q.sigma), b = magnitude(p.sigma), u = (a - b) / b;
    const T by_square = (q.variance - p.variance) / p.variance, by_root = u * (u + T(2));
    const bool squared = by_variance(q.variance, limits), squared_p = by_variance(p.variance, limits);
    const T excess = (squared & squared_p) ? by_square : by_root;
    const T log_r = kExact ? log_quotient(q.variance, p.variance) : T(2) * log_quotient(a, b);
    return {excess, ratio_penalty(excess, log_r)};
  }
  template <class T>
  static FASTVAE_INLINE T distance(T value, const Scale<T>& p, const ScaleLimits<T>& limits) {
    const T quotient = value / p.sigma, by_square = value * (value / p.variance), by_root = quotient * quotient;
    return by_variance(p.variance, limits) ? by_square : by_root;
  }
  template <class T>
  static FASTVAE_INLINE T over_variance(T value, const Scale<T>& p, const ScaleLimits<T>& limits) {
    const T by_square = value / p.variance, by_root = value / p.sigma / p.sigma;
    return by_variance(p.variance, limits) ? by_square : by_root;
  }
  template <class T>
  static FASTVAE_INLINE T log_sigma(const Scale<T>& q) {
    return kExact ? T(0.5) * log(q.variance) : log(magnitude(q.sigma));
  }

 private:
  static constexpr bool kExact = Base::kVarianceFirst && !Floored;  // the variance is the raw scale

  template <class T>
  static FASTVAE_INLINE bool variance_first(const ScaleLimits<T>& limits) {
    return Floored ? limits.min_var > T(0) : Base::kVarianceFirst;
  }
  // Is the variance the more exact, and in range?
  template <class T>
  static FASTVAE_INLINE bool by_variance(T variance, const ScaleLimits<T>& limits) {
    return Floored ? (limits.min_var > T(0)) & (variance <= Largest<T>::value) : Base::kVarianceFirst;
  }
};

// softplus without a floor: log_std where it is e^raw to the last place, for there sigma vanishes long before its
// logarithm says anything unusual.
struct SoftplusForm {
  static constexpr double kFastRange = 0;
  using Linear = LinearForm<SoftplusBase, false>;
  using Exponential = LogForm<2>;

  template <class T>
  static FASTVAE_INLINE bool exponential(T logvar) {
    return logvar < (sizeof(T) == 4 ? T(-34) : T(-80));
  }
  template <class T>
  static FASTVAE_INLINE Scale<T> at(T raw, const ScaleLimits<T>& limits) {
    const Scale<T> q = Linear::at(raw, limits);
    const T logvar = T(2) * raw;
    return {q.sigma, q.variance, q.dsigma, q.dvariance, logvar};
  }
  template <class T>
  static FASTVAE_INLINE T to_raw(T value, const Scale<T>& q, const ScaleLimits<T>& limits) {
    return exponential(q.logvar) ? Exponential::to_raw(value, q, limits) : Linear::to_raw(value, q, limits);
  }
  template <class T>
  static FASTVAE_INLINE Ratio<T> ratio(const Scale<T>& q, const ScaleLimits<T>& limits) {
    const T excess = Linear::ratio(q, limits).excess;
    return {excess, ratio_penalty(excess, T(2) * log_sigma(q))};
  }
  template <class T>
  static FASTVAE_INLINE Ratio<T> ratio(const Scale<T>& q, const Scale<T>& p, const ScaleLimits<T>& limits) {
    const Ratio<T> both = Exponential::ratio(q, p, limits), linear = Linear::ratio(q, p, limits);
    const T beyond = linear.excess - T(2) * (log_sigma(q) - log_sigma(p));
    const bool small = exponential(q.logvar), small_p = exponential(p.logvar);
    return {(small & small_p) ? both.excess : linear.excess,
            small ? (small_p ? both.penalty : beyond) : linear.penalty};
  }
  template <class T>
  static FASTVAE_INLINE T distance(T value, const Scale<T>& p, const ScaleLimits<T>& limits) {
    return exponential(p.logvar) ? Exponential::distance(value, p, limits) : Linear::distance(value, p, limits);
  }
  template <class T>
  static FASTVAE_INLINE T over_variance(T value, const Scale<T>& p, const ScaleLimits<T>& limits) {
    return exponential(p.logvar) ? Exponential::over_variance(value, p, limits)
                                 : Linear::over_variance(value, p, limits);
  }
  template <class T>
  static FASTVAE_INLINE T log_sigma(const Scale<T>& q) {
    return exponential(q.logvar) ? Exponential::log_sigma(q) : Linear::log_sigma(q);
  }
};

// The parameterizations, and their forms without and with a floor.
struct Logvar {
  static constexpr const char* kName = "logvar";
  using Unfloored = LogForm<1>;
  using Floored = LinearForm<ExponentialBase<1>, true>;
};
struct LogStd {
  static constexpr const char* kName = "log_std";
  using Unfloored = LogForm<2>;
  using Floored = LinearForm<ExponentialBase<2>, true>;
};
struct Std {
  static constexpr const char* kName = "std";
  using Unfloored = LinearForm<StdBase, false>;
  using Floored = LinearForm<StdBase, true>;
};
struct Softplus {
  static constexpr const char* kName = "softplus";
  using Unfloored = SoftplusForm;
  using Floored = LinearForm<SoftplusBase, true>;
};
struct Variance {
  static constexpr const char* kName = "variance";
  using Unfloored = LinearForm<VarianceBase, false>;
  using Floored = LinearForm<VarianceBase, true>;
};
using Parameterizations = VariantTable<Logvar, LogStd, Std, Softplus, Variance>;

// Calls visit(form) with the form the options name.
template <class Visit>
void with_form(const ScaleOptions& options, const Visit& visit) {
  const bool floored = options.min_std > 0 || options.min_var > 0;
  Parameterizations::visit(options.parameterization, [&](auto parameterization) {
    using Named = decltype(parameterization);
    if (floored) return visit(typename Named::Floored{});
    visit(typename Named::Unfloored{});
  });
}

// Are all scales of a posterior, and of its prior where there is one, at most `bound` in magnitude, clamped and not?
template <class T>
bool scales_within(const ScaleLimits<T>& limits, const T* raw, const T* raw_p, int64_t n, double bound) {
  const T limit = static_cast<T>(bound);
  return magnitude(clamped(T(0), limits)) <= limit && all_within(raw, n, limit) && all_within(raw_p, n, limit);
}

}  // namespace
