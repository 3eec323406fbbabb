// The negative binomial likelihood of counts and its gradients. Most counts are 0, where the loss is one logarithm: all
// elements are computed as if theirs were, and those with a count once more, from a compressed list of them.
#include "kernels/negative_binomial_nll.h"
#include "kernels/blocks.h"
#include "kernels/fast_range.h"
#include "kernels/negative_binomial_terms.h"
#ifdef __AVX512F__
#include <immintrin.h>
#endif

namespace {

constexpr int64_t kLanes = 16;  // what a list is padded to, so that no loop over it ends in single elements

// The logarithms of means beyond which t + m has lost the smaller of the two.
template <class T>
constexpr T kFarMean = sizeof(T) == 4 ? T(40) : T(60);

// What a logarithm of a mean is above the far one, and below.
template <class T>
FASTVAE_INLINE T excess_of(T log_mean) {
  return log_mean > kFarMean<T> ? log_mean - kFarMean<T> : T(0);
}
template <class T>
FASTVAE_INLINE T lack_of(T log_mean) {
  return log_mean < -kFarMean<T> ? -kFarMean<T> - log_mean : T(0);
}

template <class T>
struct Chunk {
  int64_t size;
  const T *x, *given, *m, *t, *q;  // the count, the mean as given, the mean, the inverse dispersion, the logit
  T factor;                        // of the gradients
  T *loss, *by_mean, *by_dispersion, *by_logit;
};

// The terms of a zero, those of a count but for what its own density gives.
template <bool Log, bool Inflated, class T>
FASTVAE_INLINE CountTerms<T> terms_at_zero(bool zero, T m, T t, T q, T excess) {
  const CountTerms<T> plain = terms_of_zero<Log>(m, t, excess);
  if constexpr (Inflated) return inflated(zero, plain, q);
  return {zero ? plain.loss : T(0), plain.by_mean, plain.by_dispersion, T(0)};
}

template <bool Log, bool Inflated, bool Far, bool Gradients, class T>
void evaluate_zeros(int64_t n, const T* x, const T* given, const T* m, const T* t, const T* q, T factor, T* loss,
                    T* by_mean, T* by_dispersion, T* by_logit) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const bool zero = x[i] == T(0);
    const CountTerms<T> terms = terms_at_zero<Log, Inflated>(zero, m[i], t[i], q[i], Far ? excess_of(given[i]) : T(0));
    loss[i] = terms.loss;
    if (Gradients) by_mean[i] = terms.by_mean * factor;
    if (Gradients) by_dispersion[i] = terms.by_dispersion * factor;
    if (Gradients & Inflated) by_logit[i] = terms.by_logit * factor;
  }
}

template <bool Log, bool Inflated, bool Far, bool Gradients, class T>
FASTVAE_INLINE void evaluate_zeros(const Chunk<T>& c) {
  evaluate_zeros<Log, Inflated, Far, Gradients>(c.size, c.x, c.given, c.m, c.t, Inflated ? c.q : c.x, c.factor, c.loss,
                                                c.by_mean, c.by_dispersion, c.by_logit);
}

// The elements of a chunk that are no zeros.
template <class T>
struct Counts {
  int32_t at[kChunk + kLanes];  // whole vectors are stored
  ChunkOf<T> x, m, t, excess, lack, loss, by_mean, by_dispersion;
};

// Where they are, and their number.
template <class T>
FASTVAE_INLINE int64_t find(int64_t n, const T* x, int32_t* at) {
  uint8_t present[kChunk];
  for (int64_t i = 0; i < n; ++i) present[i] = x[i] == T(0) ? 0 : 1;
  int64_t count = 0;
  for (int64_t i = 0; i < n; ++i) {
    at[count] = static_cast<int32_t>(i);
    count += present[i];
  }
  return count;
}

#ifdef __AVX512F__
FASTVAE_INLINE int64_t find(int64_t n, const float* x, int32_t* at) {
  const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  int64_t count = 0;
  for (int64_t i = 0; i < n; i += 16) {
    const __mmask16 inside = n - i < 16 ? static_cast<__mmask16>((1 << (n - i)) - 1) : static_cast<__mmask16>(-1);
    const __m512 values = _mm512_maskz_loadu_ps(inside, x + i);
    const __mmask16 present = _mm512_cmp_ps_mask(values, _mm512_setzero_ps(), _CMP_NEQ_UQ);
    const __m512i indices = _mm512_add_epi32(lanes, _mm512_set1_epi32(static_cast<int32_t>(i)));
    _mm512_storeu_si512(at + count, _mm512_maskz_compress_epi32(present, indices));
    count += _mm_popcnt_u32(present);
  }
  return count;
}
#endif

template <bool Log, bool Any, bool Gradients, class T>
void evaluate_counts(int64_t count, Counts<T>& list, T factor) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) {
    const CountTerms<T> terms = terms_of_count<Log, Any>(list.x[i], list.m[i], list.t[i], Any ? list.excess[i] : T(0),
                                                         Any ? list.lack[i] : T(0));
    list.loss[i] = terms.loss;
    if (Gradients) list.by_mean[i] = terms.by_mean * factor;
    if (Gradients) list.by_dispersion[i] = terms.by_dispersion * factor;
  }
}

template <bool Log, bool Gradients, class T>
FASTVAE_INLINE void add_counts(const Chunk<T>& c, bool far, Counts<T>& list) {
  const int64_t count = find(c.size, c.x, list.at);
  if (count == 0) return;
  const int64_t padded = (count + kLanes - 1) / kLanes * kLanes;
  int below = 0;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t at = list.at[i];
    list.x[i] = c.x[at];
    list.m[i] = Log ? c.m[at] : c.m[at] + T(1e-8);  // scvi-tools' eps
    list.t[i] = c.t[at];
    below |= !(c.x[at] >= T(1));
  }
  for (int64_t i = count; i < padded; ++i) list.x[i] = list.m[i] = list.t[i] = T(1);
  if (far | below) {
    const T least = exp(-kFarMean<T>);
    for (int64_t i = 0; i < count; ++i) {
      const T given = Log ? c.given[list.at[i]] : T(0);
      list.excess[i] = excess_of(given);
      list.lack[i] = lack_of(given);
      if (Log) list.m[i] = list.m[i] < least ? least : list.m[i];
    }
    for (int64_t i = count; i < padded; ++i) list.excess[i] = list.lack[i] = T(0);
    evaluate_counts<Log, true, Gradients>(padded, list, c.factor);
  } else {
    evaluate_counts<Log, false, Gradients>(padded, list, c.factor);
  }
  for (int64_t i = 0; i < count; ++i) {
    const int64_t at = list.at[i];
    c.loss[at] += list.loss[i];
    if (Gradients) c.by_mean[at] = list.by_mean[i];
    if (Gradients) c.by_dispersion[at] = list.by_dispersion[i];
  }
}

template <bool Log, bool Inflated, bool Gradients, class T>
void evaluate(const Chunk<T>& c, bool far, Counts<T>& list) {
  if (Log && far)
    evaluate_zeros<Log, Inflated, Log, Gradients>(c);
  else
    evaluate_zeros<Log, Inflated, false, Gradients>(c);
  add_counts<Log, Gradients>(c, far, list);
}

template <bool Value>
struct Flag {
  static constexpr bool value = Value;
};
// Calls visit with the flag as a type.
template <class Visit>
FASTVAE_INLINE void with_flag(bool flag, const Visit& visit) {
  if (flag) return visit(Flag<true>{});
  visit(Flag<false>{});
}

template <class T>
FASTVAE_INLINE void scale(int64_t n, T* values, const T* factors) {
  for (int64_t i = 0; i < n; ++i) values[i] *= factors[i];
}

template <class T>
struct NegativeBinomialBuffers {
  BlockOf<T> loss;
  ChunkOf<T> mean, target, m, dispersion, logits, weight, upstream, gradients[3];
  Counts<T> counts;
};

template <class T>
void evaluate(const NegativeBinomialNll& a, const Block& at, NegativeBinomialBuffers<T>& buffers, T* loss) {
  const int64_t n = at.size;
  const Gradient* views[3] = {&a.grad_mean, &a.grad_dispersion, &a.grad_logits};
  Destination<T> out[3];
  for (int i = 0; i < 3; ++i) out[i] = destination<T>(*views[i], a.space, at, buffers.gradients[i]);
  const T* given = load<T>(a.mean, a.space, at, buffers.mean);
  const T* w = load<T>(a.weight, a.space, at, buffers.weight);
  const T* g = load<T>(a.upstream, a.space, at, buffers.upstream);
  Chunk<T> chunk = {n,
                    load_counts<T>(a.target, a.space, at, buffers.target),
                    given,
                    given,
                    load<T>(a.dispersion, a.space, at, buffers.dispersion),
                    load<T>(a.logits, a.space, at, buffers.logits),
                    static_cast<T>(a.factor),
                    loss,
                    out[0].values,
                    out[1].values,
                    out[2].values};
  bool far = false;
  if (a.log_input) {
    far = !all_within(given, n, kFarMean<T>);
    for (int64_t i = 0; i < n; ++i) buffers.m[i] = exp(given[i] > kFarMean<T> ? kFarMean<T> : given[i]);
    chunk.m = buffers.m;
  }
  const bool gradients = a.grad_mean || a.grad_dispersion || a.grad_logits;
  with_flag(a.log_input, [&](auto log) {
    with_flag(static_cast<bool>(a.logits), [&](auto inflated) {
      with_flag(gradients,
                [&](auto wanted) { evaluate<log.value, inflated.value, wanted.value>(chunk, far, buffers.counts); });
    });
  });
  if (w) scale(n, loss, w);
  for (int i = 0; i < 3; ++i) {
    if (!*views[i]) continue;
    if (w) scale(n, out[i].values, w);
    if (g) scale(n, out[i].values, g);
    put_gradient(*views[i], a.space, at, out[i]);
  }
}

// One thread walks all samples of a part: in order or, where each sum of a gradient belongs to one element of a sample,
// a stretch of all of them after the other, whose sums stay in cache.
template <class Body>
void for_each_part(const NegativeBinomialNll& a, const Body& body) {
  const int64_t blocks = a.space.blocks(),
                columns = a.by_feature && a.space.long_samples() && blocks > 0 ? a.space.blocks_per_sample() : 1;
  const int64_t rows = blocks / columns, parts = a.parts;
  const int64_t threads = smaller(a.threads, blocks / 2);
  parallel_for(parts * columns, static_cast<int>(threads), 1, [&](int64_t first, int64_t last, int64_t worker) {
    char* scratch = scratch_of(a, worker);
    for (int64_t at = first; at < last; ++at) {
      const int64_t part = at / columns, column = at - part * columns;
      for (int64_t row = rows * part / parts; row < rows * (part + 1) / parts; ++row)
        body(block_at(a.space, row * columns + column, part, scratch));
    }
  });
}

template <class T>
void negative_binomial(const NegativeBinomialNll& a) {
  for_each_part(a, [&](const Block& block) {
    NegativeBinomialBuffers<T>& buffers = scratch_as<NegativeBinomialBuffers<T>>(block.scratch);
    const Destination<T> loss = destination<T>(a.loss.elementwise, a.space, block, buffers.loss);
    for_each_chunk(
        a.space, block, [](const Range&, int64_t) {},
        [&](const Block& at) { evaluate(a, at, buffers, loss.values + (at.begin - block.begin)); });
    put_loss(a.loss, a.space, block, loss);
  });
  finish_loss<T>(a.loss, a.space);
  const Gradient* views[3] = {&a.grad_mean, &a.grad_dispersion, &a.grad_logits};
  for (const Gradient* view : views) finish_gradient<T>(*view, a);
}

}  // namespace

void fastvae::FASTVAE_UNIT_NAMESPACE::negative_binomial_nll(const NegativeBinomialNll& a) {
  a.f64 ? negative_binomial<double>(a) : negative_binomial<float>(a);
}
