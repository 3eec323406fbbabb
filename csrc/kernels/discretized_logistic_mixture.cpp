// Mixtures of discretized logistics.
//
// A chunk of pixels is walked component by component. The gradients of a component's own log-probability stay in cache
// until the weights of the components are known.
#include "kernels/discretized_logistic_mixture.h"

#include "kernels/blocks.h"
#include "kernels/discretized_logistic.h"

namespace {

constexpr int64_t kPixels = DiscretizedLogisticMixture::kPixels;

// tanh k, and its derivative.
template <class T>
FASTVAE_NOINLINE void couple(const T* __restrict k, T* __restrict value, T* __restrict slope) {
#pragma omp simd
  for (int64_t i = 0; i < kPixels; ++i) {
    const Decay<T> e = decay(at_most(T(2) * magnitude(k[i]), Bounds<T>::decay));
    const T t = e.lost / (T(1) + e.left);
    value[i] = k[i] < T(0) ? -t : t;
    slope[i] = fma(-t, t, T(1));
  }
}

// Rows of a chunk's pixels in memory of the thread.
template <class T>
struct Rows {
  T* next;
  FASTVAE_INLINE T* take(int64_t count) {
    T* rows = next;
    next += count * kPixels;
    return rows;
  }
};

template <class T>
struct Chunk {
  T *x[3], *coupling[3], *coupling_slope[3], *of_mean[3], *staged[3], *product, *upstream, *largest, *largest_logit,
      *weights, *prior, *gradients;

  Chunk(const DiscretizedLogisticMixture& a, char* memory) {
    Rows<T> rows = {reinterpret_cast<T*>(memory)};
    for (int c = 0; c < 3; ++c) {
      x[c] = rows.take(1);
      coupling[c] = rows.take(1);
      coupling_slope[c] = rows.take(1);
      of_mean[c] = rows.take(1);
      staged[c] = rows.take(1);
    }
    product = rows.take(1);
    upstream = rows.take(1);
    largest = rows.take(1);
    largest_logit = rows.take(1);
    weights = rows.take(a.num_mixtures);
    prior = rows.take(a.num_mixtures);
    gradients = rows.take(a.num_mixtures * a.channels * a.kinds());
  }
};

// A channel of a view as a whole row, past its pixels 0.
template <class T, class Byte = Pixel>
const T* load_row(const View& view, const Space& space, const Range& at, T* buffer, int64_t channel) {
  const T* values = load<T, Byte>(view, space, at, buffer, channel);
  if (at.size == kPixels) return values;
  if (values != buffer)
    for (int64_t i = 0; i < at.size; ++i) buffer[i] = values[i];
  for (int64_t i = at.size; i < kPixels; ++i) buffer[i] = T(0);
  return buffer;
}

// One channel of one component: what it adds to the log-probability and to the product, and its gradients. The mean is
// shifted by `Coupled` products of a coefficient and an earlier channel.
// Out of line, as `couple`, so that the compiler's code for it can be found.
template <int Coupled, class T>
FASTVAE_NOINLINE void add_level(const Limits<T> limits, const T* __restrict x, const T* __restrict mean,
                                const T* __restrict raw, const T* __restrict k0, const T* __restrict x0,
                                const T* __restrict k1, const T* __restrict x1, T* __restrict exponent,
                                T* __restrict product, T* __restrict of_mean, T* __restrict of_log_scale) {
#pragma omp simd
  for (int64_t i = 0; i < kPixels; ++i) {
    T shifted = mean[i];
    if (Coupled > 0) shifted = fma(k0[i], x0[i], shifted);
    if (Coupled > 1) shifted = fma(k1[i], x1[i], shifted);
    const Level<T> at = level(x[i], shifted, raw[i], limits);
    exponent[i] += at.exponent;
    product[i] *= at.factor;
    of_mean[i] = at.of_mean;
    of_log_scale[i] = at.of_log_scale;
  }
}

template <class T>
void chain(const T* __restrict of_mean, const T* __restrict x, const T* __restrict slope, T* __restrict out) {
  for (int64_t i = 0; i < kPixels; ++i) out[i] = of_mean[i] * x[i] * slope[i];
}

template <class T>
void raise(const T* __restrict values, T* __restrict largest) {
  for (int64_t i = 0; i < kPixels; ++i) largest[i] = values[i] > largest[i] ? values[i] : largest[i];
}

// The log-probabilities of component m, beside its logit, and the gradients of the former.
template <class T>
void component(const DiscretizedLogisticMixture& a, const Range& at, const Limits<T>& limits, int64_t m,
               Chunk<T>& chunk) {
  const int64_t count = a.num_mixtures, kinds = a.kinds();
  const auto place = [&](int64_t c, int64_t kind) { return (c * kinds + kind) * count + m; };
  const auto read = [&](int64_t c, int64_t kind, int buffer) {
    return load_row<T>(a.params, a.space, at, chunk.staged[buffer], count + place(c, kind));
  };
  const auto gradient = [&](int64_t c, int64_t kind) { return chunk.gradients + place(c, kind) * kPixels; };
  T *log_prob = chunk.weights + m * kPixels, *logit = chunk.prior + m * kPixels, *product = chunk.product;
  const T* given = load_row<T>(a.params, a.space, at, chunk.staged[0], m);
  for (int64_t i = 0; i < kPixels; ++i) logit[i] = given[i], log_prob[i] = given[i], product[i] = T(1);
  const T* none = nullptr;
  if (a.channels == 1) {
    add_level<0>(limits, chunk.x[0], read(0, 0, 0), read(0, 1, 1), none, none, none, none, log_prob, product,
                 gradient(0, 0), gradient(0, 1));
  } else {
    for (int c = 0; c < 3; ++c) couple(read(c, 2, 0), chunk.coupling[c], chunk.coupling_slope[c]);
    const T *x0 = chunk.x[0], *x1 = chunk.x[1];
    add_level<0>(limits, x0, read(0, 0, 0), read(0, 1, 1), none, none, none, none, log_prob, product, gradient(0, 0),
                 gradient(0, 1));
    add_level<1>(limits, x1, read(1, 0, 0), read(1, 1, 1), chunk.coupling[0], x0, none, none, log_prob, product,
                 gradient(1, 0), gradient(1, 1));
    add_level<2>(limits, chunk.x[2], read(2, 0, 0), read(2, 1, 1), chunk.coupling[1], x0, chunk.coupling[2], x1,
                 log_prob, product, gradient(2, 0), gradient(2, 1));
    chain(gradient(1, 0), x0, chunk.coupling_slope[0], gradient(0, 2));
    chain(gradient(2, 0), x0, chunk.coupling_slope[1], gradient(1, 2));
    chain(gradient(2, 0), x1, chunk.coupling_slope[2], gradient(2, 2));
  }
  for (int64_t i = 0; i < kPixels; ++i) log_prob[i] += log(product[i]);
  raise(log_prob, chunk.largest);
  raise(logit, chunk.largest_logit);
}

// Turns logarithms into the terms of their sum, of which the largest is 1, and adds them up.
template <class T>
void exponentials(T* __restrict values, const T* __restrict largest, T* __restrict sum) {
#pragma omp simd
  for (int64_t i = 0; i < kPixels; ++i) {
    const T term = exp_negative(values[i] - largest[i]);
    values[i] = term;
    sum[i] += term;
  }
}

template <class T>
void scaled(const T* __restrict values, const T* __restrict weight, int64_t n, T* __restrict out) {
  if (n == kPixels) {
    for (int64_t i = 0; i < kPixels; ++i) out[i] = values[i] * weight[i];
  } else {
    for (int64_t i = 0; i < n; ++i) out[i] = values[i] * weight[i];
  }
}

template <class T>
void mixture_chunk(const DiscretizedLogisticMixture& a, const Range& at, const Limits<T>& limits, Chunk<T>& chunk,
                   T* __restrict loss) {
  const T none = -kInfinity<T>;
  for (int64_t i = 0; i < kPixels; ++i) chunk.largest[i] = none, chunk.largest_logit[i] = none;
  for (int64_t c = 0; c < a.channels; ++c) {
    const T* target = load_row<T, Count>(a.target, a.space, at, chunk.staged[0], c);
    const bool bytes = a.target.dtype == DType::u8;
    const T levels = static_cast<T>(a.levels);
    for (int64_t i = 0; i < kPixels; ++i) chunk.x[c][i] = bytes ? target[i] / levels * T(2) - T(1) : target[i];
  }
  for (int64_t m = 0; m < a.num_mixtures; ++m) component(a, at, limits, m, chunk);
  // Where nothing is possible the largest is no number to subtract.
  T *largest = chunk.largest, *largest_logit = chunk.largest_logit, *sum = chunk.product, *prior_sum = chunk.of_mean[0];
  for (int64_t i = 0; i < kPixels; ++i) {
    loss[i] = largest_logit[i] - largest[i];
    largest[i] = magnitude(largest[i]) < kInfinity<T> ? largest[i] : T(0);
    sum[i] = T(0), prior_sum[i] = T(0);
  }
  for (int64_t m = 0; m < a.num_mixtures; ++m) {
    exponentials(chunk.weights + m * kPixels, largest, sum);
    exponentials(chunk.prior + m * kPixels, largest_logit, prior_sum);
  }
  for (int64_t i = 0; i < kPixels; ++i) loss[i] += log(prior_sum[i] / sum[i]);
  if (!a.grad) return;
  T* upstream = chunk.upstream;
  const T factor = static_cast<T>(a.factor);
  if (a.grad_loss) {
    const T* given = load_row<T>(a.grad_loss, a.space, at, upstream, 0);
    for (int64_t i = 0; i < kPixels; ++i) upstream[i] = -(given[i] * factor);
  } else {
    for (int64_t i = 0; i < kPixels; ++i) upstream[i] = -factor;
  }
  for (int64_t i = 0; i < kPixels; ++i) sum[i] = upstream[i] / sum[i], prior_sum[i] = upstream[i] / prior_sum[i];
  const auto put = [&](int64_t channel, const T* values, const T* weight) {
    const Destination<T> out = destination<T>(a.grad, a.space, at, chunk.staged[0], channel);
    scaled(values, weight, at.size, out.values);
    store(a.grad, a.space, at, out, channel);
  };
  for (int64_t m = 0; m < a.num_mixtures; ++m) {
    T *weight = chunk.weights + m * kPixels, *prior = chunk.prior + m * kPixels;
    for (int64_t i = 0; i < kPixels; ++i) {
      weight[i] *= sum[i];
      prior[i] = weight[i] - prior[i] * prior_sum[i];
      upstream[i] = T(1);
    }
    put(m, prior, upstream);
    for (int64_t kind = 0; kind < a.channels * a.kinds(); ++kind) {
      const int64_t place = kind * a.num_mixtures + m;
      put(a.num_mixtures + place, chunk.gradients + place * kPixels, weight);
    }
  }
}

template <class T>
void mixture(const DiscretizedLogisticMixture& a) {
  const double half = 1 / a.levels;
  const Limits<T> limits = {static_cast<T>(half), static_cast<T>(half - 1), static_cast<T>(1 - half)};
  const int64_t blocks = a.parts, workers = smaller(a.threads, blocks);
  parallel_for(workers, a.threads, 1, [&](int64_t first, int64_t last, int64_t) {
    for (int64_t worker = first; worker < last; ++worker) {
      Chunk<T> chunk(a, a.chunks + worker * a.chunk_bytes());
      char* scratch = scratch_of(a, worker);
      T* buffer = scratch_as<BlockOf<T>>(scratch);
      for (int64_t index = blocks * worker / workers; index < blocks * (worker + 1) / workers; ++index) {
        const Block block = block_at(a.space, index, index, scratch);
        T losses[kPixels];
        const Destination<T> loss = destination<T>(a.loss.elementwise, a.space, block, buffer);
        for (int64_t begin = 0; begin < block.size; begin += kPixels) {
          const Range at(a.space, block.begin + begin, smaller(kPixels, block.size - begin));
          mixture_chunk(a, at, limits, chunk, losses);
          for (int64_t i = 0; i < at.size; ++i) loss[begin + i] = losses[i];
        }
        put_loss(a.loss, a.space, block, loss);
      }
    }
  });
  finish_loss<T>(a.loss, a.space);
}

}  // namespace

namespace fastvae::FASTVAE_UNIT_NAMESPACE {

void discretized_logistic_mixture(const DiscretizedLogisticMixture& a) {
  a.f64 ? mixture<double>(a) : mixture<float>(a);
}

}  // namespace fastvae::FASTVAE_UNIT_NAMESPACE
