// Reconstruction losses and their gradients: the loops that all likelihoods share, and the walk that takes those of one
// through pointers, so that it is compiled once a dtype.
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

// The operands of a block as contiguous T, but for a target of contiguous bytes, which is read in place.
template <class T>
struct ReconstructionBlock {
  int64_t size;
  const T *x, *t;
  const void* bytes;
  const T* log_scale;
  T factor;
  bool gradient, full;
  T *loss, *grad, *grad_log_scale;
};

template <class T, class Likelihood>
void evaluate_block(const ReconstructionBlock<T>& b) {
  const auto within = [&](double bound) { return all_within(b.x, b.size, static_cast<T>(bound)); };
  with_fastest(Likelihood{}, within, [&](auto ranged) {
    using Loss = decltype(ranged);
    const auto over = [&](auto t) {
      if (b.gradient)
        evaluate<T, Loss, true>(b.size, b.x, t, b.log_scale, b.factor, b.loss, b.grad, b.grad_log_scale);
      else
        evaluate<T, Loss, false>(b.size, b.x, t, b.log_scale, b.factor, b.loss, b.grad, b.grad_log_scale);
      if (b.full) normalize<Loss>(b.size, t, b.loss);
    };
    if (b.bytes) return over(static_cast<const typename Likelihood::Byte*>(b.bytes));
    over(b.t);
  });
}

template <class T, class Byte>
const T* load_target(const View& target, const Space& space, const Block& block, T* buffer) {
  return load<T, Byte>(target, space, block, buffer);
}

// What a likelihood does to a block.
template <class T>
struct LikelihoodLoops {
  const T* (*load_target)(const View&, const Space&, const Block&, T*);
  void (*evaluate)(const ReconstructionBlock<T>&);
  void (*differentiate)(int64_t, const T*, const T*, const T*, const T*, T, T*, T*, T*);
};

template <class T>
LikelihoodLoops<T> loops_of(int likelihood) {
  LikelihoodLoops<T> loops{};
  Likelihoods::visit(likelihood, [&](auto named) {
    using Named = decltype(named);
    loops = {load_target<T, typename Named::Byte>, evaluate_block<T, Named>, differentiate<T, Named>};
  });
  return loops;
}

template <class T>
struct ReconstructionBuffers {
  BlockOf<T> input, target, weight, log_scale, loss, grad_log_scale;
};

template <class T>
void reconstruction(const Reconstruction& a) {
  const LikelihoodLoops<T> loops = loops_of<T>(a.likelihood);
  const bool in_bytes = a.target.dtype == DType::u8 && a.target.layout == Layout::contiguous;
  for_each_block(a, [&](const Block& block) {
    ReconstructionBuffers<T>& buffers = scratch_as<ReconstructionBuffers<T>>(block.scratch);
    const int64_t n = block.size;
    const T* w = load<T>(a.weight, a.space, block, buffers.weight);
    const Destination<T> loss = destination<T>(a.loss.elementwise, a.space, block, buffers.loss);
    // Over the input: each element is read before its gradient is written.
    const Destination<T> grad = destination<T>(a.grad, a.space, block, buffers.input);
    const Destination<T> grad_scale = destination<T>(a.grad_log_scale, a.space, block, buffers.grad_log_scale);
    loops.evaluate({n, load<T>(a.input, a.space, block, buffers.input),
                    in_bytes ? nullptr : loops.load_target(a.target, a.space, block, buffers.target),
                    in_bytes ? static_cast<const uint8_t*>(a.target.data) + block.begin : nullptr,
                    load<T>(a.log_scale, a.space, block, buffers.log_scale), static_cast<T>(a.loss.factor),
                    a.grad || a.grad_log_scale, a.full, loss, grad, grad_scale});
    if (w) multiply(n, loss.values, w);
    if (w && a.grad) multiply(n, grad.values, w);
    if (w && a.grad_log_scale) multiply(n, grad_scale.values, w);
    store(a.grad, a.space, block, grad);
    put_gradient(a.grad_log_scale, a.space, block, grad_scale);
    put_loss(a.loss, a.space, block, loss);
  });
  finish_loss<T>(a.loss, a.space);
  finish_gradient<T>(a.grad_log_scale, a);
}

template <class T>
struct ReconstructionGradientBuffers {
  BlockOf<T> gradients[3], input, target, weight, log_scale, upstream;
};

template <class T>
void reconstruction_backward(const ReconstructionBackward& a) {
  const Gradient* views[3] = {&a.grad_input, &a.grad_target, &a.grad_log_scale};
  const LikelihoodLoops<T> loops = loops_of<T>(a.likelihood);
  for_each_block(a, [&](const Block& block) {
    ReconstructionGradientBuffers<T>& buffers = scratch_as<ReconstructionGradientBuffers<T>>(block.scratch);
    const int64_t n = block.size;
    Destination<T> out[3];
    for (int i = 0; i < 3; ++i) out[i] = destination<T>(*views[i], a.space, block, buffers.gradients[i]);
    const T* x = load<T>(a.input, a.space, block, buffers.input);
    const T* t = loops.load_target(a.target, a.space, block, buffers.target);
    const T* s = load<T>(a.log_scale, a.space, block, buffers.log_scale);
    const T* g = load<T>(a.grad_loss, a.space, block, buffers.upstream);
    const T* w = load<T>(a.weight, a.space, block, buffers.weight);
    loops.differentiate(n, x, t, s, g, static_cast<T>(a.factor), out[0], out[1], out[2]);
    for (int i = 0; i < 3; ++i) {
      if (w && *views[i]) multiply(n, out[i].values, w);
      put_gradient(*views[i], a.space, block, out[i]);
    }
  });
  for (const Gradient* view : views) finish_gradient<T>(*view, a);
}

}  // namespace
