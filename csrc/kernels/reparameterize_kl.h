// z = mu + sigma eps (Kingma & Welling 2014, section 2.4) and KL(N(mu, sigma^2) || N(mu_p, sigma_p^2)) (appendix B):
// 0.5 ((mu - mu_p)^2 / var_p + r - 1 - log r), r = var / var_p, in one pass over the inputs.
#pragma once
#include "kernels/blocks.h"
#include "kernels/noise.h"
#include "kernels/scale_forms.h"

namespace {

// What the KL of a launch is of. Its loops are compiled for each.
enum class Kl { none, of_standard_normal, of_prior };

template <Kl kl>
struct KlOf {
  static constexpr Kl value = kl;
};

// Calls visit with it as a compile-time answer.
template <class Visit>
void with_kl(bool wanted, bool prior, const Visit& visit) {
  if (!wanted) return visit(KlOf<Kl::none>{});
  if (prior) return visit(KlOf<Kl::of_prior>{});
  visit(KlOf<Kl::of_standard_normal>{});
}

// Prefetches rows of the posterior while their noise is drawn, unless the latent is so small that the layer before has
// just left it in a cache.
template <class T, class Arguments>
auto prefetcher(const Arguments& a) {
  constexpr int64_t kCached = 1 << 20;
  return [&a](Range rows, int64_t size) {
    if (a.space.count <= kCached) return;
    rows.size = size;
    prefetch<T>(a.mu, a.space, rows);
    prefetch<T>(a.scale, a.space, rows);
  };
}

// eps of the chunks of a block: the caller's, or regenerated from the seed at its logical index, and then for
// as many chunks as have room.
template <class T>
class Noise {
 public:
  explicit Noise(T* buffer) : buffer_(buffer) {}

  template <class Arguments>
  const T* of(const Arguments& a, const Block& block, const Block& chunk, int64_t k) {
    if (a.eps) return load(a.eps, a.space, chunk, buffer_, k);
    const int64_t first = a.stream.first + k * a.stream.stride + chunk.begin;
    if (first < begin_ || first + chunk.size > end_) {
      const int64_t rows = kChunk / chunk.size * chunk.size, rest = block.begin + block.size - chunk.begin;
      const int64_t drawn = a.num_samples == 1 ? smaller(rows, rest) : chunk.size;
      begin_ = first;
      end_ = first + drawn;
      fill_normal(static_cast<uint64_t>(*a.stream.seed), begin_, drawn, buffer_);
    }
    return buffer_ + (first - begin_);
  }

 private:
  int64_t begin_ = 0, end_ = 0;
  T* buffer_;
};

template <class T, class Form, Kl kl>
FASTVAE_INLINE T divergence(const Scale<T>& q, T mu, T mu_p, T raw_p, const ScaleLimits<T>& limits) {
  if constexpr (kl == Kl::of_standard_normal) return T(0.5) * fma(mu, mu, Form::ratio(q, limits).penalty);
  const Scale<T> p = Form::at(clamped(raw_p, limits), limits);
  return T(0.5) * (Form::distance(mu - mu_p, p, limits) + Form::ratio(q, p, limits).penalty);
}

// What sigma and the KL of a chunk are computed from; without a prior, its parameters are null.
template <class T>
struct PosteriorChunk {
  const T *mu, *raw, *mu_p, *raw_p;
  T *sigma, *kl;
};

template <class T, class Form, Kl kl>
void sigma_and_kl_of_form(int64_t n, const ScaleLimits<T> limits, const PosteriorChunk<T>& b) {
  constexpr bool kPrior = kl == Kl::of_prior;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const Scale<T> q = Form::at(clamped(b.raw[i], limits), limits);
    b.sigma[i] = q.sigma;
    if constexpr (kl != Kl::none)
      b.kl[i] = divergence<T, Form, kl>(q, b.mu[i], kPrior ? b.mu_p[i] : T(0), kPrior ? b.raw_p[i] : T(0), limits);
  }
}

template <class T, class Form, Kl kl>
void sigma_and_kl(int64_t n, const ScaleLimits<T>& limits, const PosteriorChunk<T>& b) {
  const auto within = [&](double bound) { return scales_within(limits, b.raw, b.raw_p, n, bound); };
  with_fastest(Form{}, within, [&](auto form) { sigma_and_kl_of_form<T, decltype(form), kl>(n, limits, b); });
}

template <class T>
using SigmaAndKl = void (*)(int64_t, const ScaleLimits<T>&, const PosteriorChunk<T>&);

// The loops over a chunk that a launch takes, through a pointer: so the walk is compiled once a dtype.
template <class T>
SigmaAndKl<T> sigma_and_kl_for(const ReparameterizeKl& a) {
  SigmaAndKl<T> loops = nullptr;
  with_form(a.options, [&](auto form) {
    with_kl(a.kl_wanted, bool(a.prior_mu), [&](auto kl) { loops = sigma_and_kl<T, decltype(form), kl.value>; });
  });
  return loops;
}

template <class T>
struct PosteriorBuffers {
  BlockOf<T> kl;
  ChunkOf<T> mu, raw, mu_p, raw_p, eps, sigma, z;
};

template <class T>
void reparameterize_kl(const ReparameterizeKl& a) {
  const ScaleLimits<T> limits = scale_limits<T>(a.options);
  const SigmaAndKl<T> loops = sigma_and_kl_for<T>(a);
  for_each_block(a, [&](const Block& block) {
    PosteriorBuffers<T>& buffers = scratch_as<PosteriorBuffers<T>>(block.scratch);
    Noise<T> noise(buffers.eps);
    const Destination<T> kl = destination<T>(a.kl.elementwise, a.space, block, buffers.kl);
    for_each_chunk(a.space, block, prefetcher<T>(a), [&](const Block& chunk) {
      T* sigma = buffers.sigma;
      const int64_t n = chunk.size;
      const T* mu = load<T>(a.mu, a.space, chunk, buffers.mu);
      loops(n, limits,
            {mu, load<T>(a.scale, a.space, chunk, buffers.raw), load<T>(a.prior_mu, a.space, chunk, buffers.mu_p),
             load<T>(a.prior_scale, a.space, chunk, buffers.raw_p), sigma, kl + (chunk.begin - block.begin)});
      if (!a.z) return;
      for (int64_t k = 0; k < a.num_samples; ++k) {
        const T* eps = noise.of(a, block, chunk, k);
        const Destination<T> z = destination<T>(a.z, a.space, chunk, buffers.z, k);
        for (int64_t i = 0; i < n; ++i) z[i] = fma(sigma[i], eps[i], mu[i]);
        store(a.z, a.space, chunk, z, k);
      }
    });
    if (a.kl_wanted) put_loss(a.kl, a.space, block, kl);
  });
  if (a.kl_wanted) finish_loss<T>(a.kl, a.space);
}

enum class Draws { none, one, several };

// One chunk of gradients; of one sample dz and eps, of several sum_k dz_k and sum_k dz_k eps_k.
template <class T>
struct GradientChunk {
  const T *mu, *raw, *mu_p, *raw_p, *dz, *eps, *grad_kl;
  T *grad_mu, *grad_raw, *grad_mu_p, *grad_raw_p;
};

template <class T, class Form, Kl kl, Draws draws>
void posterior_gradients_of_form(int64_t n, const ScaleLimits<T> limits, T factor, const GradientChunk<T>& b) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const T raw = b.raw[i];
    const Scale<T> q = Form::at(clamped(raw, limits), limits);
    T dmu = draws != Draws::none ? b.dz[i] : T(0), draw = T(0);
    if (draws == Draws::one) draw = b.dz[i] * b.eps[i] * q.dsigma;
    if (draws == Draws::several) draw = b.eps[i] * q.dsigma;
    if constexpr (kl == Kl::of_standard_normal) {
      const T g = b.grad_kl[i] * factor;
      dmu = fma(g, b.mu[i], dmu);
      draw += Form::to_raw(g * T(0.5) * Form::ratio(q, limits).excess, q, limits);
    }
    if constexpr (kl == Kl::of_prior) {
      const T g = b.grad_kl[i] * factor, raw_p = b.raw_p[i], delta = b.mu[i] - b.mu_p[i];
      const Scale<T> p = Form::at(clamped(raw_p, limits), limits);
      const Ratio<T> r = Form::ratio(q, p, limits);
      const T pull = g * Form::over_variance(delta, p, limits);
      dmu += pull;
      draw += Form::to_raw(g * T(0.5) * r.excess, q, limits);
      b.grad_mu_p[i] = -pull;
      b.grad_raw_p[i] = clamp_mask(
          raw_p, limits, Form::to_raw(g * T(-0.5) * (r.excess + Form::distance(delta, p, limits)), p, limits));
    }
    b.grad_mu[i] = dmu;
    b.grad_raw[i] = clamp_mask(raw, limits, draw);
  }
}

template <class T, class Form, Kl kl, Draws draws>
void posterior_gradients(int64_t n, const ScaleLimits<T>& limits, T factor, const GradientChunk<T>& b) {
  const auto within = [&](double bound) { return scales_within(limits, b.raw, b.raw_p, n, bound); };
  with_fastest(Form{}, within,
               [&](auto form) { posterior_gradients_of_form<T, decltype(form), kl, draws>(n, limits, factor, b); });
}

template <class T>
using PosteriorGradients = void (*)(int64_t, const ScaleLimits<T>&, T, const GradientChunk<T>&);

template <class T>
PosteriorGradients<T> posterior_gradients_for(const ReparameterizeKlBackward& a) {
  PosteriorGradients<T> loops = nullptr;
  with_form(a.options, [&](auto form) {
    using Form = decltype(form);
    with_kl(bool(a.grad_kl), bool(a.prior_mu), [&](auto kl) {
      loops = !a.grad_z            ? posterior_gradients<T, Form, kl.value, Draws::none>
              : a.num_samples == 1 ? posterior_gradients<T, Form, kl.value, Draws::one>
                                   : posterior_gradients<T, Form, kl.value, Draws::several>;
    });
  });
  return loops;
}

// sum_k dz_k and sum_k dz_k eps_k of one chunk.
template <class T>
void sum_samples(const ReparameterizeKlBackward& a, const Block& block, const Block& chunk, Noise<T>& noise, T* sum,
                 T* weighted, T* buffer) {
  for (int64_t i = 0; i < chunk.size; ++i) sum[i] = weighted[i] = T(0);
  for (int64_t k = 0; k < a.num_samples; ++k) {
    const T* eps = noise.of(a, block, chunk, k);
    const T* dz = load(a.grad_z, a.space, chunk, buffer, k);
    for (int64_t i = 0; i < chunk.size; ++i) {
      sum[i] += dz[i];
      weighted[i] = fma(dz[i], eps[i], weighted[i]);
    }
  }
}

template <class T>
struct PosteriorGradientBuffers {
  ChunkOf<T> gradients[4], mu, raw, mu_p, raw_p, eps, grad_kl, grad_z, sum, weighted;
};

template <class T>
void reparameterize_kl_backward(const ReparameterizeKlBackward& a) {
  const Gradient* views[4] = {&a.grad_mu, &a.grad_scale, &a.grad_prior_mu, &a.grad_prior_scale};
  const ScaleLimits<T> limits = scale_limits<T>(a.options);
  const T factor = static_cast<T>(a.factor);
  const PosteriorGradients<T> loops = posterior_gradients_for<T>(a);
  for_each_block(a, [&](const Block& block) {
    PosteriorGradientBuffers<T>& buffers = scratch_as<PosteriorGradientBuffers<T>>(block.scratch);
    Noise<T> noise(buffers.eps);
    const T* uniform = uniform_chunk(a.grad_kl, a.space, block, buffers.grad_kl);
    for_each_chunk(a.space, block, prefetcher<T>(a), [&](const Block& chunk) {
      T *sum = buffers.sum, *weighted = buffers.weighted;
      const int64_t n = chunk.size;
      Destination<T> out[4];
      for (int i = 0; i < 4; ++i) out[i] = destination<T>(*views[i], a.space, chunk, buffers.gradients[i]);
      const T *dz = sum, *eps = weighted;
      if (a.grad_z && a.num_samples == 1) {
        eps = noise.of(a, block, chunk, 0);
        dz = load(a.grad_z, a.space, chunk, sum);
      } else if (a.grad_z) {
        sum_samples(a, block, chunk, noise, sum, weighted, buffers.grad_z);
      }
      loops(n, limits, factor,
            {load<T>(a.mu, a.space, chunk, buffers.mu), load<T>(a.scale, a.space, chunk, buffers.raw),
             load<T>(a.prior_mu, a.space, chunk, buffers.mu_p), load<T>(a.prior_scale, a.space, chunk, buffers.raw_p),
             dz, eps, uniform ? uniform : load<T>(a.grad_kl, a.space, chunk, buffers.grad_kl), out[0], out[1], out[2],
             out[3]});
      if (!a.grad_kl && (a.grad_prior_mu || a.grad_prior_scale)) {  // z does not depend on the prior
        for (int64_t i = 0; i < n; ++i) out[2][i] = out[3][i] = T(0);
      }
      for (int i = 0; i < 4; ++i) put_gradient(*views[i], a.space, chunk, out[i]);
    });
  });
  for (const Gradient* view : views) finish_gradient<T>(*view, a);
}

}  // namespace
