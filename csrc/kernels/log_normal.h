// log N(z; mu, sigma^2) = -0.5 (z - mu)^2 / sigma^2 - log sigma - 0.5 log 2 pi.
#pragma once
#include "kernels/blocks.h"
#include "kernels/scale_forms.h"

namespace {

// log N(z; 0, 1): no mu, no scale.
struct StandardNormal {};

// The loops over one block.
template <class T, class Form>
struct Density {
  static void evaluate(int64_t n, const ScaleLimits<T> limits, const T* z, const T* mu, const T* raw, T* log_prob) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      const Scale<T> q = Form::at(clamped(raw[i], limits), limits);
      log_prob[i] = fma(T(-0.5), Form::distance(z[i] - mu[i], q, limits), -Form::log_sigma(q)) - T(kHalfLogTwoPi);
    }
  }

  static void differentiate(int64_t n, const ScaleLimits<T> limits, const T* z, const T* mu, const T* raw, const T* g,
                            T* dz, T* dmu, T* draw) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      const Scale<T> q = Form::at(clamped(raw[i], limits), limits);
      const T delta = z[i] - mu[i], pull = g[i] * Form::over_variance(delta, q, limits);
      dz[i] = -pull;
      dmu[i] = pull;
      draw[i] = clamp_mask(raw[i], limits,
                           Form::to_raw(g[i] * T(0.5) * (Form::distance(delta, q, limits) - T(1)), q, limits));
    }
  }
};

template <class T>
struct Density<T, StandardNormal> {
  static void evaluate(int64_t n, const ScaleLimits<T>, const T* z, const T*, const T*, T* log_prob) {
    for (int64_t i = 0; i < n; ++i) log_prob[i] = T(-0.5) * z[i] * z[i] - T(kHalfLogTwoPi);
  }

  static void differentiate(int64_t n, const ScaleLimits<T>, const T* z, const T*, const T*, const T* g, T* dz, T*,
                            T*) {
    for (int64_t i = 0; i < n; ++i) dz[i] = -g[i] * z[i];
  }
};

template <class T>
struct DensityBuffers {
  BlockOf<T> z, mu, scale, log_prob;
};

template <class T>
void log_normal(const LogNormal& a) {
  const ScaleLimits<T> limits = scale_limits<T>(a.options);
  auto evaluate = Density<T, StandardNormal>::evaluate;
  if (a.scale) with_form(a.options, [&](auto form) { evaluate = Density<T, decltype(form)>::evaluate; });
  for_each_block(a, [&](const Block& block) {
    DensityBuffers<T>& buffers = scratch_as<DensityBuffers<T>>(block.scratch);
    const T* z = load<T>(a.z, a.space, block, buffers.z);
    const T* mu = load<T>(a.mu, a.space, block, buffers.mu);
    const T* raw = load<T>(a.scale, a.space, block, buffers.scale);
    const Destination<T> log_prob = destination<T>(a.log_prob.elementwise, a.space, block, buffers.log_prob);
    evaluate(block.size, limits, z, mu, raw, log_prob);
    put_loss(a.log_prob, a.space, block, log_prob);
  });
  finish_loss<T>(a.log_prob, a.space);
}

template <class T>
struct DensityGradientBuffers {
  BlockOf<T> gradients[3], z, mu, scale, upstream;
};

template <class T>
void log_normal_backward(const LogNormalBackward& a) {
  const ScaleLimits<T> limits = scale_limits<T>(a.options);
  const T factor = static_cast<T>(a.factor);
  const Gradient* views[3] = {&a.grad_z, &a.grad_mu, &a.grad_scale};
  auto differentiate = Density<T, StandardNormal>::differentiate;
  if (a.scale) with_form(a.options, [&](auto form) { differentiate = Density<T, decltype(form)>::differentiate; });
  for_each_block(a, [&](const Block& block) {
    DensityGradientBuffers<T>& buffers = scratch_as<DensityGradientBuffers<T>>(block.scratch);
    T* upstream = buffers.upstream;
    const int64_t n = block.size;
    Destination<T> out[3];
    for (int i = 0; i < 3; ++i) out[i] = destination<T>(*views[i], a.space, block, buffers.gradients[i]);
    const T* z = load<T>(a.z, a.space, block, buffers.z);
    const T* mu = load<T>(a.mu, a.space, block, buffers.mu);
    const T* raw = load<T>(a.scale, a.space, block, buffers.scale);
    const T* g = load(a.grad_log_prob, a.space, block, upstream);
    for (int64_t i = 0; i < n; ++i) upstream[i] = g[i] * factor;
    differentiate(n, limits, z, mu, raw, upstream, out[0], out[1], out[2]);
    for (int i = 0; i < 3; ++i) put_gradient(*views[i], a.space, block, out[i]);
  });
  for (const Gradient* view : views) finish_gradient<T>(*view, a);
}

}  // namespace
