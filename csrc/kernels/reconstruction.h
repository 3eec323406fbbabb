// Reconstruction losses and their gradients. A likelihood is one struct (kScaled: does it read log_scale?); the loops
// are shared.
#pragma once
#include "kernels/blocks.h"
#include "kernels/elementary.h"
#include "kernels/fast_range.h"

namespace {

// A loss and its derivatives by input, target and log_scale. What a loop does not store, the compiler removes.
template <class T>
struct Point {
  T loss, dinput, dtarget, dlog_scale;
};

// (1 - t) x - log sigmoid(x), as torch writes it: the other usual form is NaN at x = inf, t = 0.
// InRange: for logits whose exponentials neither underflow nor overflow.
template <bool InRange = false>
struct BinaryCrossEntropyWithLogits {
  static constexpr bool kScaled = false;
  static constexpr double kFastRange = 87;
  using FastForm = BinaryCrossEntropyWithLogits<true>;

  template <class T>
  static FASTVAE_INLINE Point<T> at(T x, T t, T, T) {
    const Logistic<T> l = logistic<InRange>(x);
    const T minus_log_sigmoid = l.softplus_negative_magnitude - (x < T(0) ? x : T(0));
    return {fma(T(1) - t, x, minus_log_sigmoid), l.sigmoid - t, -x, T(0)};
  }
};

// A likelihood without log_scale and without a fast form.
struct Plain {
  static constexpr bool kScaled = false;
  static constexpr double kFastRange = 0;
};

// -(t log p + (1 - t) log(1 - p)), each logarithm at least -100 and the denominator of the input's gradient at least
// 1e-12, but the target's gradient unbounded: as torch. What is no probability has neither loss nor gradient: NaN.
struct BinaryCrossEntropy : Plain {
  template <class T>
  static FASTVAE_INLINE Point<T> at(T p, T t, T, T) {
    const T log_p = log(p), log_q = log1p_negative(-p);
    const T spread = (T(1) - p) * p, denominator = spread < T(1e-12) ? T(1e-12) : spread;
    const T slope = (p - t) / denominator;
    const bool outside = (p < T(0)) | (p > T(1));
    return {(t - T(1)) * clamped(log_q) - t * clamped(log_p), outside ? T(__builtin_nan("")) : slope, log_q - log_p,
            T(0)};
  }
  template <class T>
  static FASTVAE_INLINE T clamped(T logarithm) {
    return logarithm < T(-100) ? T(-100) : logarithm;
  }
};

struct MseLoss : Plain {
  template <class T>
  static FASTVAE_INLINE Point<T> at(T x, T t, T, T) {
    const T difference = x - t;
    return {difference * difference, T(2) * difference, T(-2) * difference, T(0)};
  }
};

struct L1Loss : Plain {
  template <class T>
  static FASTVAE_INLINE Point<T> at(T x, T t, T, T) {
    const T difference = x - t;
    const T signs = difference > T(0) ? T(1) : (difference < T(0) ? T(-1) : difference);  // 0 at a tie, NaN at NaN
    return {magnitude(difference), signs, -signs, T(0)};
  }
};

// 0.5 ((x - t) / sigma)^2 + log sigma + constant.
struct GaussianNll : Plain {
  static constexpr bool kScaled = true;

  template <class T>
  static FASTVAE_INLINE Point<T> at(T x, T t, T log_sigma, T constant) {
    const T precision = exp(-log_sigma), scaled = (x - t) * precision, gradient = scaled * precision;
    return {T(0.5) * (scaled * scaled) + log_sigma + constant, gradient, -gradient, T(1) - scaled * scaled};
  }
};

template <class Visit>
void with_likelihood(Likelihood likelihood, const Visit& visit) {
  switch (likelihood) {
    case Likelihood::binary_cross_entropy_with_logits: return visit(BinaryCrossEntropyWithLogits<>{});
    case Likelihood::binary_cross_entropy: return visit(BinaryCrossEntropy{});
    case Likelihood::mse_loss: return visit(MseLoss{});
    case Likelihood::l1_loss: return visit(L1Loss{});
    case Likelihood::gaussian_nll: return visit(GaussianNll{});
  }
}

template <class T>
FASTVAE_INLINE void multiply(int64_t n, T* values, const T* factors) {
  for (int64_t i = 0; i < n; ++i) values[i] *= factors[i];
}

template <class T, class Loss, bool Gradient, class Target>
void evaluate(int64_t n, const T* x, const Target* t, const T* log_scale, T constant, T factor, T* loss, T* grad,
              T* grad_log_scale) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const Point<T> p = Loss::at(x[i], decode<T>(t[i]), Loss::kScaled ? log_scale[i] : T(0), constant);
    loss[i] = p.loss;
    if (Gradient) grad[i] = p.dinput * factor;
    if (Gradient && Loss::kScaled) grad_log_scale[i] = p.dlog_scale * factor;
  }
}

// Calls visit with a block of the target: contiguous bytes in place, all else as contiguous T.
template <class T, class Visit>
FASTVAE_INLINE void with_target(const View& target, const Space& space, const Block& block, T* buffer,
                                const Visit& visit) {
  if (target.dtype == DType::u8 && target.layout == Layout::contiguous)
    return visit(static_cast<const Byte*>(target.data) + block.begin);
  visit(load(target, space, block, buffer));
}

template <class T>
struct ReconstructionBuffers {
  BlockOf<T> input, target, weight, log_scale, loss, grad_log_scale;
};

template <class T>
void reconstruction(const Reconstruction& a) {
  const T constant = a.full ? T(kHalfLogTwoPi) : T(0), factor = static_cast<T>(a.loss.factor);
  with_likelihood(a.likelihood, [&](auto likelihood) {
    for_each_block(a, [&](const Block& block) {
      ReconstructionBuffers<T>& buffers = scratch_as<ReconstructionBuffers<T>>();
      const int64_t n = block.size;
      const T* x = load<T>(a.input, a.space, block, buffers.input);
      const T* w = load<T>(a.weight, a.space, block, buffers.weight);
      const T* s = load<T>(a.log_scale, a.space, block, buffers.log_scale);
      const Destination<T> loss = destination<T>(a.loss.elementwise, a.space, block, buffers.loss);
      // Over the input: each element is read before its gradient is written.
      const Destination<T> grad = destination<T>(a.grad, a.space, block, buffers.input);
      const Destination<T> grad_scale = destination<T>(a.grad_log_scale, a.space, block, buffers.grad_log_scale);
      with_target<T>(a.target, a.space, block, buffers.target, [&](auto t) {
        const auto within = [&](double bound) { return all_within(x, n, static_cast<T>(bound)); };
        with_fastest(likelihood, within, [&](auto ranged) {
          using Loss = decltype(ranged);
          if (a.grad || a.grad_log_scale)
            return evaluate<T, Loss, true>(n, x, t, s, constant, factor, loss, grad, grad_scale);
          evaluate<T, Loss, false>(n, x, t, s, constant, factor, loss, grad, grad_scale);
        });
      });
      if (w) multiply(n, loss.values, w);
      if (w && a.grad) multiply(n, grad.values, w);
      if (w && a.grad_log_scale) multiply(n, grad_scale.values, w);
      store(a.grad, a.space, block, grad);
      put_gradient(a.grad_log_scale, a.space, block, grad_scale);
      put_loss(a.loss, a.space, block, loss);
    });
  });
  finish_loss<T>(a.loss, a.space);
  finish_gradient<T>(a.grad_log_scale, a.parts);
}

template <class T, class Loss>
void differentiate(int64_t n, const T* x, const T* t, const T* log_scale, const T* upstream, T factor, T* dx, T* dt,
                   T* ds) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const Point<T> p = Loss::at(x[i], t[i], Loss::kScaled ? log_scale[i] : T(0), T(0));
    const T g = upstream[i] * factor;
    dx[i] = p.dinput * g;
    dt[i] = p.dtarget * g;
    ds[i] = p.dlog_scale * g;
  }
}

template <class T>
struct ReconstructionGradientBuffers {
  BlockOf<T> gradients[3], input, target, weight, log_scale, upstream;
};

template <class T>
void reconstruction_backward(const ReconstructionBackward& a) {
  const Gradient* views[3] = {&a.grad_input, &a.grad_target, &a.grad_log_scale};
  with_likelihood(a.likelihood, [&](auto likelihood) {
    for_each_block(a, [&](const Block& block) {
      ReconstructionGradientBuffers<T>& buffers = scratch_as<ReconstructionGradientBuffers<T>>();
      const int64_t n = block.size;
      Destination<T> out[3];
      for (int i = 0; i < 3; ++i) out[i] = destination<T>(*views[i], a.space, block, buffers.gradients[i]);
      const T* x = load<T>(a.input, a.space, block, buffers.input);
      const T* t = load<T>(a.target, a.space, block, buffers.target);
      const T* s = load<T>(a.log_scale, a.space, block, buffers.log_scale);
      const T* g = load<T>(a.grad_loss, a.space, block, buffers.upstream);
      const T* w = load<T>(a.weight, a.space, block, buffers.weight);
      differentiate<T, decltype(likelihood)>(n, x, t, s, g, static_cast<T>(a.factor), out[0], out[1], out[2]);
      for (int i = 0; i < 3; ++i) {
        if (w && *views[i]) multiply(n, out[i].values, w);
        put_gradient(*views[i], a.space, block, out[i]);
      }
    });
  });
  for (const Gradient* view : views) finish_gradient<T>(*view, a.parts);
}

}  // namespace
