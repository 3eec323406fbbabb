// The noise contract: Philox4x32-10 (Salmon et al. 2011) and Box-Muller on its words, bit for bit the noise of
// fastvae.reference.noise. Only IEEE add, multiply, sqrt and exact conversions, and never a fused multiply-add.
#pragma once
#include "kernels/elementary.h"
#include "kernels/philox.h"

namespace {

// -2 ln((2 (word >> 9) + 1) 2^-24). The contract multiplies the logarithm by -2 at its end; here its terms are, each a
// power of two away from the contract's, which rounds alike.
FASTVAE_INLINE float minus_two_log(uint32_t word) {
  const float x = static_cast<float>(static_cast<int32_t>((word >> 8) | 1u));
  const int32_t bits = to_bits(x);
  const int32_t exponent = (bits - 0x3F3504F3) >> 23;
  const float f = from_bits(bits - static_cast<int32_t>(static_cast<uint32_t>(exponent) << 23)) - 1.0f;
  float p = f * (-2.0f * 7.0376836292e-2f) + -2.0f * -1.1514610310e-1f;
  p = p * f + -2.0f * 1.1676998740e-1f;
  p = p * f + -2.0f * -1.2420140846e-1f;
  p = p * f + -2.0f * 1.4249322787e-1f;
  p = p * f + -2.0f * -1.6668057665e-1f;
  p = p * f + -2.0f * 2.0000714765e-1f;
  p = p * f + -2.0f * -2.4999993993e-1f;
  p = p * f + -2.0f * 3.3333331174e-1f;
  const float square = f * f, n = static_cast<float>(exponent - 24);
  float y = (p * f) * square;
  y = y + n * (-2.0f * kLn2Low);
  y = y + square;
  const float r = f * -2.0f + y;
  return r + n * (-2.0f * kLn2High);
}

// Of 2 pi word / 2^32: reduced to an eighth of a turn around the nearest quarter, whose number swaps and signs the two.
FASTVAE_INLINE void cos_sin(uint32_t word, float& cos, float& sin) {
  constexpr uint32_t kSign = 0x80000000u;
  const uint32_t shifted = word + 0x20000000u;
  const int32_t residual = static_cast<int32_t>((shifted & 0x3FFFFFFFu) - 0x20000000u);
  const float f = static_cast<float>(residual >> 6) * (5.8516723170686385e-09f * 16.0f), z = f * f;
  float s = z * -1.9515295891e-4f + 8.3321608736e-3f;
  s = s * z + -1.6666654611e-1f;
  s = (s * z) * f + f;
  float c = z * 2.443315711809948e-5f + -1.388731625493765e-3f;
  c = c * z + 4.166664568298827e-2f;
  c = (c * z) * z - 0.5f * z + 1.0f;
  const int32_t odd = static_cast<int32_t>(shifted << 1) >> 31, swap = (to_bits(s) ^ to_bits(c)) & odd;
  cos = from_bits((to_bits(c) ^ swap) ^ static_cast<int32_t>((shifted + 0x40000000u) & kSign));
  sin = from_bits((to_bits(s) ^ swap) ^ static_cast<int32_t>(shifted & kSign));
}

// The normals of `batches` * kLanes counters from `group` on, as the contract orders them. Each step runs over all of
// them before the next begins: the processor then sees many short independent chains instead of few long ones.
constexpr int kBatches = 8;

FASTVAE_INLINE void normal_groups(uint64_t seed, uint64_t group, int batches, float* out) {
  alignas(64) uint32_t words[4][kBatches * kLanes];
  alignas(64) float normals[4][kBatches * kLanes];
  const int counters = batches * kLanes;
  for (int i = 0; i < counters; i += kLanes)
    philox(seed, group + static_cast<uint64_t>(i), words[0] + i, words[1] + i, words[2] + i, words[3] + i);
  for (int pair = 0; pair < 4; pair += 2) {
#pragma omp simd
    for (int i = 0; i < counters; ++i) {
      const float radius = sqrt(minus_two_log(words[pair][i]));
      float cos, sin;
      cos_sin(words[pair + 1][i], cos, sin);
      normals[pair][i] = radius * cos;
      normals[pair + 1][i] = radius * sin;
    }
  }
  for (int i = 0; i < counters; i += kLanes)
    interleave(normals[0] + i, normals[1] + i, normals[2] + i, normals[3] + i, out + 4 * i);
}

// Whole draws go straight into a float buffer; a double one takes them through `drawn`.
FASTVAE_INLINE float* whole_draw(float* out, float*) { return out; }
FASTVAE_INLINE float* whole_draw(double*, float* drawn) { return drawn; }

// Elements start .. start + count of the stream of `seed`.
template <class T>
void fill_normal(uint64_t seed, int64_t start, int64_t count, T* out) {
  constexpr int64_t kBatch = 4 * kLanes;
  alignas(64) float buffer[kBatches * kBatch];
  int64_t group = start / 4, skip = start % 4;
  for (int64_t done = 0; done < count; skip = 0) {
    const int64_t batches = smaller(kBatches, (skip + count - done + kBatch - 1) / kBatch);
    const int64_t take = smaller(batches * kBatch - skip, count - done);
    float* drawn = take == batches * kBatch ? whole_draw(out + done, buffer) : buffer;
    normal_groups(seed, static_cast<uint64_t>(group), static_cast<int>(batches), drawn);
    if (static_cast<const void*>(drawn) != out + done)
      for (int64_t i = 0; i < take; ++i) out[done + i] = drawn[skip + i];
    done += take;
    group += batches * kLanes;
  }
}

}  // namespace
