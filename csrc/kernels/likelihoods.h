// The pointwise reconstruction losses, one struct each, and the table of them: all that C++ says of a likelihood.
#pragma once
#include "kernels/binet.h"
#include "kernels/elementary.h"
#include "kernels/variants.h"
#include "kernels/views.h"

namespace {

// A loss and its derivatives by input, target and log_scale. What a loop does not store, the compiler removes.
template <class T>
struct Point {
  T loss, dinput, dtarget, dlog_scale;
};

// What a likelihood is unless it says otherwise.
struct Plain {
  static constexpr bool kScaled = false;      // does it read log_scale?
  static constexpr bool kNormalized = false;  // has it a normalizer(t), which full=True adds?
  static constexpr double kFastRange = 0;     // see with_fastest
  using Byte = Pixel;                         // how it reads a target of uint8: Pixel or Count
};

// (1 - t) x - log sigmoid(x), as torch writes it: the other usual form is NaN at x = inf, t = 0.
// InRange: for logits whose exponentials neither underflow nor overflow.
template <bool InRange = false>
struct BinaryCrossEntropyWithLogits : Plain {
  static constexpr const char* kName = "binary_cross_entropy_with_logits";
  static constexpr double kFastRange = 87;
  using FastForm = BinaryCrossEntropyWithLogits<true>;

  template <class T>
  static FASTVAE_INLINE Point<T> at(T x, T t, T) {
    const Logistic<T> l = logistic<InRange>(x);
    const T minus_log_sigmoid = l.softplus_negative_magnitude - (x < T(0) ? x : T(0));
    return {fma(T(1) - t, x, minus_log_sigmoid), l.sigmoid - t, -x, T(0)};
  }
};

// -(t log p + (1 - t) log(1 - p)), each logarithm at least -100 and the denominator of the input's gradient at least
// 1e-12, but the target's gradient unbounded: as torch. What is no probability has neither loss nor gradient: NaN.
struct BinaryCrossEntropy : Plain {
  static constexpr const char* kName = "binary_cross_entropy";

  template <class T>
  static FASTVAE_INLINE Point<T> at(T p, T t, T) {
    const T log_p = log(p), log_q = log1p_negative(-p);
    const T spread = (T(1) - p) * p, denominator = spread < T(1e-12) ? T(1e-12) : spread;
    const T slope = (p - t) / denominator;
    const bool outside = (p < T(0)) | (p > T(1));
    return {fma(t - T(1), clamped(log_q), -t * clamped(log_p)), outside ? kNan<T> : slope, log_q - log_p, T(0)};
  }
  template <class T>
  static FASTVAE_INLINE T clamped(T logarithm) {
    return logarithm < T(-100) ? T(-100) : logarithm;
  }
};

struct MseLoss : Plain {
  static constexpr const char* kName = "mse_loss";

  template <class T>
  static FASTVAE_INLINE Point<T> at(T x, T t, T) {
    const T difference = x - t;
    return {difference * difference, T(2) * difference, T(-2) * difference, T(0)};
  }
};

struct L1Loss : Plain {
  static constexpr const char* kName = "l1_loss";

  template <class T>
  static FASTVAE_INLINE Point<T> at(T x, T t, T) {
    const T difference = x - t;
    const T signs = difference > T(0) ? T(1) : (difference < T(0) ? T(-1) : difference);  // 0 at a tie, NaN at NaN
    return {magnitude(difference), signs, -signs, T(0)};
  }
};

// 0.5 ((x - t) / sigma)^2 + log sigma.
struct GaussianNll : Plain {
  static constexpr const char* kName = "gaussian_nll";
  static constexpr bool kScaled = true;
  static constexpr bool kNormalized = true;

  template <class T>
  static FASTVAE_INLINE Point<T> at(T x, T t, T log_sigma) {
    const T precision = exp(-log_sigma), scaled = (x - t) * precision, gradient = scaled * precision;
    return {fma(T(0.5) * scaled, scaled, log_sigma), gradient, -gradient, fma(-scaled, scaled, T(1))};
  }
  template <class T>
  static FASTVAE_INLINE T normalizer(T) {
    return T(kHalfLogTwoPi);
  }
};

// Of counts, which have no gradient.
struct OfCounts : Plain {
  static constexpr bool kNormalized = true;
  using Byte = Count;

  template <class T>
  static FASTVAE_INLINE T normalizer(T t) {
    return log_factorial(t);
  }
};

// rate - t log rate, of log rate.
struct PoissonNll : OfCounts {
  static constexpr const char* kName = "poisson_nll";

  template <class T>
  static FASTVAE_INLINE Point<T> at(T x, T t, T) {
    const T rate = exp(x);
    return {fma(-t, x, rate), rate - t, T(0), T(0)};
  }
};

// The same, of the rate, with torch's 1e-8 in the logarithm.
struct PoissonNllOfRate : OfCounts {
  static constexpr const char* kName = "poisson_nll_of_rate";

  template <class T>
  static FASTVAE_INLINE Point<T> at(T x, T t, T) {
    const T raised = x + T(1e-8);
    return {fma(-t, log(raised), x), T(1) - t / raised, T(0), T(0)};
  }
};

using Likelihoods = VariantTable<BinaryCrossEntropyWithLogits<>, BinaryCrossEntropy, MseLoss, L1Loss, GaussianNll,
                                 PoissonNll, PoissonNllOfRate>;

}  // namespace
