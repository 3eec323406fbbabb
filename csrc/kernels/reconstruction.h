// Reconstruction losses and their gradients: the loops that all likelihoods share.
#pragma once
#include "kernels/blocks.h"
#include "kernels/fast_range.h"
#include "kernels/likelihoods.h"

namespace {

template <class T>
FASTVAE_INLINE void multiply(int64_t n, T* values, const T* factors) {
  for (int64_t i = 0; i < n; ++i) values[i] *= factors[i];
}

template <class T, class Loss, bool Gradient, class Target>
void evaluate(int64_t n, const T* x, const Target* t, const T* log_scale, T factor, T* loss, T* grad,
              T* grad_log_scale) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const Point<T> p = Loss::at(x[i], decode<T>(t[i]), Loss::kScaled ? log_scale[i] : T(0));
    loss[i] = p.loss;
    if (Gradient) grad[i] = p.dinput * factor;
    if (Gradient && Loss::kScaled) grad_log_scale[i] = p.dlog_scale * factor;
  }
}

template <class Loss, class T, class Target>
FASTVAE_INLINE void normalize(int64_t n, const Target* t, T* loss) {
  if constexpr (Loss::kNormalized)
    for (int64_t i = 0; i < n; ++i) loss[i] += Loss::normalizer(decode<T>(t[i]));
}

// Calls visit with a block of the target: contiguous bytes in place, all else as contiguous T.
template <class T, class Byte, class Visit>
FASTVAE_INLINE void with_target(const View& target, const Space& space, const Block& block, T* buffer,
                                const Visit& visit) {
  if (target.dtype == DType::u8 && target.layout == Layout::contiguous)
    return visit(static_cast<const Byte*>(target.data) + block.begin);
  visit(load<T, Byte>(target, space, block, buffer));
}

template <class T>
struct ReconstructionBuffers {
  BlockOf<T> input, target, weight, log_scale, loss, grad_log_scale;
};

template <class T>
void reconstruction(const Reconstruction& a) {
  const T factor = static_cast<T>(a.loss.factor);
  Likelihoods::visit(a.likelihood, [&](auto likelihood) {
    using Byte = typename decltype(likelihood)::Byte;
    for_each_block(a, [&](const Block& block) {
      ReconstructionBuffers<T>& buffers = scratch_as<ReconstructionBuffers<T>>(block.scratch);
      const int64_t n = block.size;
      const T* x = load<T>(a.input, a.space, block, buffers.input);
      const T* w = load<T>(a.weight, a.space, block, buffers.weight);
      const T* s = load<T>(a.log_scale, a.space, block, buffers.log_scale);
      const Destination<T> loss = destination<T>(a.loss.elementwise, a.space, block, buffers.loss);
      // Over the input: each element is read before its gradient is written.
      const Destination<T> grad = destination<T>(a.grad, a.space, block, buffers.input);
      const Destination<T> grad_scale = destination<T>(a.grad_log_scale, a.space, block, buffers.grad_log_scale);
      with_target<T, Byte>(a.target, a.space, block, buffers.target, [&](auto t) {
        const auto within = [&](double bound) { return all_within(x, n, static_cast<T>(bound)); };
        with_fastest(likelihood, within, [&](auto ranged) {
          using Loss = decltype(ranged);
          if (a.grad || a.grad_log_scale)
            evaluate<T, Loss, true>(n, x, t, s, factor, loss, grad, grad_scale);
          else
            evaluate<T, Loss, false>(n, x, t, s, factor, loss, grad, grad_scale);
          if (a.full) normalize<Loss>(n, t, loss.values);
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
  finish_gradient<T>(a.grad_log_scale, a);
}

template <class T, class Loss>
void differentiate(int64_t n, const T* x, const T* t, const T* log_scale, const T* upstream, T factor, T* dx, T* dt,
                   T* ds) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const Point<T> p = Loss::at(x[i], t[i], Loss::kScaled ? log_scale[i] : T(0));
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
  Likelihoods::visit(a.likelihood, [&](auto likelihood) {
    using Byte = typename decltype(likelihood)::Byte;
    for_each_block(a, [&](const Block& block) {
      ReconstructionGradientBuffers<T>& buffers = scratch_as<ReconstructionGradientBuffers<T>>(block.scratch);
      const int64_t n = block.size;
      Destination<T> out[3];
      for (int i = 0; i < 3; ++i) out[i] = destination<T>(*views[i], a.space, block, buffers.gradients[i]);
      const T* x = load<T>(a.input, a.space, block, buffers.input);
      const T* t = load<T, Byte>(a.target, a.space, block, buffers.target);
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
  for (const Gradient* view : views) finish_gradient<T>(*view, a);
}

}  // namespace
