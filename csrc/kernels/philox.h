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
constexpr int kRounds = 7;
constexpr uint32_t kMultiplier0 = 0xD2511F53u, kMultiplier1 = 0xCD9E8D57u;
constexpr uint32_t kWeyl0 = 0x9E3779B9u, kWeyl1 = 0xBB67AE85u;

// The two key words of each round.
struct Keys {
  uint32_t first[kRounds], second[kRounds];
};
FASTVAE_INLINE Keys keys_of(uint64_t seed) {
  Keys keys;
  for (uint32_t round = 0; round < kRounds; ++round) {
    keys.first[round] = static_cast<uint32_t>(seed) + round * kWeyl0;
    keys.second[round] = static_cast<uint32_t>(seed >> 32) + round * kWeyl1;
  }
  return keys;
}

// One word of each counter, in the low half of its 64-bit lane. The product reads no upper half, so none is cleared:
// a round is two products, two shifts and two three-way xors.
#if defined(__AVX512F__)

using Words = __m512i;
FASTVAE_INLINE Words every(uint32_t word) { return _mm512_set1_epi32(static_cast<int>(word)); }
FASTVAE_INLINE Words counters(uint64_t group) {
  return _mm512_add_epi64(_mm512_set1_epi64(static_cast<int64_t>(group)), _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7));
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
  return _mm256_add_epi64(_mm256_set1_epi64x(static_cast<int64_t>(group)), _mm256_setr_epi64x(0, 1, 2, 3));
}
FASTVAE_INLINE Words wide_product(Words a, Words b) { return _mm256_mul_epu32(a, b); }
FASTVAE_INLINE Words high(Words words) { return _mm256_srli_epi64(words, 32); }
FASTVAE_INLINE Words mix(Words a, Words b, Words c) { return _mm256_xor_si256(a, _mm256_xor_si256(b, c)); }
FASTVAE_INLINE void store_pairs(uint32_t* to, Words even, Words odd) {
  _mm256_store_si256(reinterpret_cast<Words*>(to), _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA));
}

#endif

// Of the counters (group + lane, stream, 0): words 0 and 2 into `radius`, words 1 and 3 into `angle`, two of each a
// counter, as Box-Muller pairs them. Both are aligned to 64 bytes.
FASTVAE_INLINE void philox(const Keys& keys, uint64_t group, uint32_t* radius, uint32_t* angle) {
#if defined(__AVX2__)
  constexpr int kCounters = sizeof(Words) / 8;
  const Words m0 = every(kMultiplier0), m1 = every(kMultiplier1);
  for (int first = 0; first < kLanes; first += 2 * kCounters) {
    Words w0[2], w1[2], w2[2], w3[2];
    for (int half = 0; half < 2; ++half) {
      w0[half] = counters(group + static_cast<uint64_t>(first + half * kCounters));
      w1[half] = high(w0[half]);
      w2[half] = every(kStream);
      w3[half] = every(0);
    }
#pragma GCC unroll 7
    for (int round = 0; round < kRounds; ++round) {
      const Words k0 = every(keys.first[round]), k1 = every(keys.second[round]);
#pragma GCC unroll 2
      for (int half = 0; half < 2; ++half) {  // two chains, of which each waits for its own products
        const Words p0 = wide_product(w0[half], m0), p1 = wide_product(w2[half], m1);
        w0[half] = mix(high(p1), w1[half], k0);
        w1[half] = p1;
        w2[half] = mix(high(p0), w3[half], k1);
        w3[half] = p0;
      }
    }
    for (int half = 0; half < 2; ++half) {
      const int at = 2 * (first + half * kCounters);
      store_pairs(radius + at, w0[half], w2[half]);
      store_pairs(angle + at, w1[half], w3[half]);
    }
  }
#else
  uint32_t w0[kLanes], w1[kLanes], w2[kLanes], w3[kLanes];
  for (int lane = 0; lane < kLanes; ++lane) {
    const uint64_t g = group + static_cast<uint64_t>(lane);
    w0[lane] = static_cast<uint32_t>(g);
    w1[lane] = static_cast<uint32_t>(g >> 32);
    w2[lane] = kStream;
    w3[lane] = 0;
  }
  for (int round = 0; round < kRounds; ++round) {
#pragma omp simd
    for (int lane = 0; lane < kLanes; ++lane) {
      const uint64_t p0 = static_cast<uint64_t>(w0[lane]) * kMultiplier0;
      const uint64_t p1 = static_cast<uint64_t>(w2[lane]) * kMultiplier1;
      w0[lane] = static_cast<uint32_t>(p1 >> 32) ^ w1[lane] ^ keys.first[round];
      w1[lane] = static_cast<uint32_t>(p1);
      w2[lane] = static_cast<uint32_t>(p0 >> 32) ^ w3[lane] ^ keys.second[round];
      w3[lane] = static_cast<uint32_t>(p0);
    }
  }
  for (int lane = 0; lane < kLanes; ++lane) {
    radius[2 * lane] = w0[lane];
    radius[2 * lane + 1] = w2[lane];
    angle[2 * lane] = w1[lane];
    angle[2 * lane + 1] = w3[lane];
  }
#endif
}

}  // namespace
