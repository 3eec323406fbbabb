// Philox4x32-7 (Salmon et al. 2011) on sixteen counters at once. The 32 x 32 -> 64 bit product is what compilers do
// not vectorise well, so AVX2 and AVX-512 have it in intrinsics; every form gives the same words.
#pragma once
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "kernels/common.h"

namespace {

constexpr int kLanes = 16;  // counters generated together
constexpr uint32_t kStream = 0;
constexpr uint32_t kRounds = 7;
constexpr uint32_t kMultiplier0 = 0xD2511F53u, kMultiplier1 = 0xCD9E8D57u;
constexpr uint32_t kWeyl0 = 0x9E3779B9u, kWeyl1 = 0xBB67AE85u;

// One word of each counter, in the low half of its 64-bit lane. The product reads no upper half, so none is cleared:
// a round is two products, two shifts and two three-way xors.
#if defined(__AVX512F__)

using Words = __m512i;
FASTVAE_INLINE Words every(uint32_t word) { return _mm512_set1_epi32(static_cast<int>(word)); }
FASTVAE_INLINE Words counters(uint64_t group) {
  return _mm512_add_epi64(_mm512_set1_epi64(static_cast<int64_t>(group)), _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14));
}
FASTVAE_INLINE Words wide_product(Words a, Words b) { return _mm512_mul_epu32(a, b); }
FASTVAE_INLINE Words high(Words words) { return _mm512_srli_epi64(words, 32); }
FASTVAE_INLINE Words mix(Words a, Words b, Words c) { return _mm512_ternarylogic_epi32(a, b, c, 0x96); }
FASTVAE_INLINE void store_pairs(uint32_t* to, Words even, Words odd) {
  _mm512_store_si512(to, _mm512_mask_blend_epi32(0xAAAA, even, _mm512_slli_epi64(odd, 32)));
}

#elif defined(__AVX2__)

using Words = __m256i;
FASTVAE_INLINE Words every(uint32_t word) { return _mm256_set1_epi32(static_cast<int>(word)); }
FASTVAE_INLINE Words counters(uint64_t group) {
  return _mm256_add_epi64(_mm256_set1_epi64x(static_cast<int64_t>(group)), _mm256_setr_epi64x(0, 2, 4, 6));
}
FASTVAE_INLINE Words wide_product(Words a, Words b) { return _mm256_mul_epu32(a, b); }
FASTVAE_INLINE Words high(Words words) { return _mm256_srli_epi64(words, 32); }
FASTVAE_INLINE Words mix(Words a, Words b, Words c) { return _mm256_xor_si256(a, _mm256_xor_si256(b, c)); }
FASTVAE_INLINE void store_pairs(uint32_t* to, Words even, Words odd) {
  _mm256_store_si256(reinterpret_cast<Words*>(to), _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA));
}

#endif

// out[4 lane + k] = nk[lane]: the order of the contract.
FASTVAE_INLINE void interleave(const float* n0, const float* n1, const float* n2, const float* n3, float* out) {
#if defined(__AVX512F__)
  const __m512 a = _mm512_load_ps(n0), b = _mm512_load_ps(n1), c = _mm512_load_ps(n2), d = _mm512_load_ps(n3);
  const __m512d ab0 = _mm512_castps_pd(_mm512_unpacklo_ps(a, b)), ab1 = _mm512_castps_pd(_mm512_unpackhi_ps(a, b));
  const __m512d cd0 = _mm512_castps_pd(_mm512_unpacklo_ps(c, d)), cd1 = _mm512_castps_pd(_mm512_unpackhi_ps(c, d));
  const __m512 q0 = _mm512_castpd_ps(_mm512_unpacklo_pd(ab0, cd0)), q1 = _mm512_castpd_ps(_mm512_unpackhi_pd(ab0, cd0));
  const __m512 q2 = _mm512_castpd_ps(_mm512_unpacklo_pd(ab1, cd1)), q3 = _mm512_castpd_ps(_mm512_unpackhi_pd(ab1, cd1));
  const __m512 low01 = _mm512_shuffle_f32x4(q0, q1, 0x44), low23 = _mm512_shuffle_f32x4(q2, q3, 0x44);
  const __m512 high01 = _mm512_shuffle_f32x4(q0, q1, 0xEE), high23 = _mm512_shuffle_f32x4(q2, q3, 0xEE);
  _mm512_storeu_ps(out, _mm512_shuffle_f32x4(low01, low23, 0x88));
  _mm512_storeu_ps(out + 16, _mm512_shuffle_f32x4(low01, low23, 0xDD));
  _mm512_storeu_ps(out + 32, _mm512_shuffle_f32x4(high01, high23, 0x88));
  _mm512_storeu_ps(out + 48, _mm512_shuffle_f32x4(high01, high23, 0xDD));
#elif defined(__AVX2__)
  for (int lane = 0; lane < kLanes; lane += 8) {
    const __m256 a = _mm256_load_ps(n0 + lane), b = _mm256_load_ps(n1 + lane);
    const __m256 c = _mm256_load_ps(n2 + lane), d = _mm256_load_ps(n3 + lane);
    const __m256d ab0 = _mm256_castps_pd(_mm256_unpacklo_ps(a, b)), ab1 = _mm256_castps_pd(_mm256_unpackhi_ps(a, b));
    const __m256d cd0 = _mm256_castps_pd(_mm256_unpacklo_ps(c, d)), cd1 = _mm256_castps_pd(_mm256_unpackhi_ps(c, d));
    const __m256 q0 = _mm256_castpd_ps(_mm256_unpacklo_pd(ab0, cd0)),
                 q1 = _mm256_castpd_ps(_mm256_unpackhi_pd(ab0, cd0));
    const __m256 q2 = _mm256_castpd_ps(_mm256_unpacklo_pd(ab1, cd1)),
                 q3 = _mm256_castpd_ps(_mm256_unpackhi_pd(ab1, cd1));
    _mm256_storeu_ps(out + 4 * lane, _mm256_permute2f128_ps(q0, q1, 0x20));
    _mm256_storeu_ps(out + 4 * lane + 8, _mm256_permute2f128_ps(q2, q3, 0x20));
    _mm256_storeu_ps(out + 4 * lane + 16, _mm256_permute2f128_ps(q0, q1, 0x31));
    _mm256_storeu_ps(out + 4 * lane + 24, _mm256_permute2f128_ps(q2, q3, 0x31));
  }
#else
  for (int lane = 0; lane < kLanes; ++lane) {
    out[4 * lane] = n0[lane];
    out[4 * lane + 1] = n1[lane];
    out[4 * lane + 2] = n2[lane];
    out[4 * lane + 3] = n3[lane];
  }
#endif
}

// The four words of the counters (group + lane, stream, 0) under the key `seed`, one array a word, aligned to 64 bytes.
FASTVAE_INLINE void philox(uint64_t seed, uint64_t group, uint32_t* c0, uint32_t* c1, uint32_t* c2, uint32_t* c3) {
  const uint32_t key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
#if defined(__AVX2__)
  constexpr int kCounters = sizeof(Words) / 4;  // of an even and an odd vector together
  const Words m0 = every(kMultiplier0), m1 = every(kMultiplier1);
  for (int first = 0; first < kLanes; first += kCounters) {
    Words w0[2], w1[2], w2[2], w3[2];
    for (uint64_t odd = 0; odd < 2; ++odd) {
      w0[odd] = counters(group + static_cast<uint64_t>(first) + odd);
      w1[odd] = high(w0[odd]);
      w2[odd] = every(kStream);
      w3[odd] = every(0);
    }
#pragma GCC unroll 7
    for (uint32_t round = 0; round < kRounds; ++round) {
      const Words k0 = every(key0 + round * kWeyl0), k1 = every(key1 + round * kWeyl1);
#pragma GCC unroll 2
      for (int odd = 0; odd < 2; ++odd) {
        const Words p0 = wide_product(w0[odd], m0), p1 = wide_product(w2[odd], m1);
        w0[odd] = mix(high(p1), w1[odd], k0);
        w1[odd] = p1;
        w2[odd] = mix(high(p0), w3[odd], k1);
        w3[odd] = p0;
      }
    }
    store_pairs(c0 + first, w0[0], w0[1]);
    store_pairs(c1 + first, w1[0], w1[1]);
    store_pairs(c2 + first, w2[0], w2[1]);
    store_pairs(c3 + first, w3[0], w3[1]);
  }
#else
  for (int lane = 0; lane < kLanes; ++lane) {
    const uint64_t g = group + static_cast<uint64_t>(lane);
    c0[lane] = static_cast<uint32_t>(g);
    c1[lane] = static_cast<uint32_t>(g >> 32);
    c2[lane] = kStream;
    c3[lane] = 0;
  }
  for (uint32_t round = 0; round < kRounds; ++round) {
    const uint32_t k0 = key0 + round * kWeyl0, k1 = key1 + round * kWeyl1;
#pragma omp simd
    for (int lane = 0; lane < kLanes; ++lane) {
      const uint64_t p0 = static_cast<uint64_t>(c0[lane]) * kMultiplier0;
      const uint64_t p1 = static_cast<uint64_t>(c2[lane]) * kMultiplier1;
      c0[lane] = static_cast<uint32_t>(p1 >> 32) ^ c1[lane] ^ k0;
      c1[lane] = static_cast<uint32_t>(p1);
      c2[lane] = static_cast<uint32_t>(p0 >> 32) ^ c3[lane] ^ k1;
      c3[lane] = static_cast<uint32_t>(p0);
    }
  }
#endif
}

}  // namespace
