// The noise contract: Philox4x32-10 (Salmon et al. 2011) and Box-Muller on its words, bit for bit the noise of
// fastvae.reference.noise. Only IEEE add, multiply, sqrt and exact conversions, and never a fused multiply-add.
#pragma once
#include "kernels/math.h"
#include "kernels/philox.h"

namespace {

FASTVAE_INLINE float minus_two_log(uint32_t word) {
  const float x = static_cast<float>(static_cast<int32_t>(2 * (word >> 9) + 1));
  const int32_t bits = to_bits(x);
  const int32_t exponent = (bits - 0x3F3504F3) >> 23;
  const float f = from_bits(bits - static_cast<int32_t>(static_cast<uint32_t>(exponent) << 23)) - 1.0f;
  float p = f * 7.0376836292e-2f + -1.1514610310e-1f;
  p = p * f + 1.1676998740e-1f;
  p = p * f + -1.2420140846e-1f;
  p = p * f + 1.4249322787e-1f;
  p = p * f + -1.6668057665e-1f;
  p = p * f + 2.0000714765e-1f;
  p = p * f + -2.4999993993e-1f;
  p = p * f + 3.3333331174e-1f;
  const float square = f * f, n = static_cast<float>(exponent - 24);
  float y = (p * f) * square;
  y = y + n * kLn2Low;
  y = y - 0.5f * square;
  float r = f + y;
  r = r + n * kLn2High;
  return r * -2.0f;
}

FASTVAE_INLINE void cos_sin(uint32_t word, float& cos, float& sin) {
  const int32_t quadrant = static_cast<int32_t>((word + 0x20000000u) >> 30);
  const int32_t residual = static_cast<int32_t>(word - (static_cast<uint32_t>(quadrant) << 30));
  const float f = static_cast<float>(residual >> 6) * 5.8516723170686385e-09f * 16.0f, z = f * f;
  float s = z * -1.9515295891e-4f + 8.3321608736e-3f;
  s = s * z + -1.6666654611e-1f;
  s = (s * z) * f + f;
  float c = z * 2.443315711809948e-5f + -1.388731625493765e-3f;
  c = c * z + 4.166664568298827e-2f;
  c = (c * z) * z - 0.5f * z + 1.0f;
  const bool odd = quadrant & 1;
  const int32_t cos_sign = ((quadrant + 1) & 2) << 30, sin_sign = (quadrant & 2) << 30;
  cos = from_bits(to_bits(odd ? s : c) ^ cos_sign);
  sin = from_bits(to_bits(odd ? c : s) ^ sin_sign);
}

// The 4 * kLanes normals of the counters group .. group + kLanes, interleaved as the contract orders them.
FASTVAE_INLINE void normal_groups(uint64_t seed, uint64_t group, float* out) {
  alignas(64) uint32_t c0[kLanes], c1[kLanes], c2[kLanes], c3[kLanes];
  philox(seed, group, c0, c1, c2, c3);
  alignas(64) float normals[4][kLanes];
#pragma omp simd
  for (int lane = 0; lane < kLanes; ++lane) {
    float cos, sin;
    const float first = sqrt(minus_two_log(c0[lane]));
    cos_sin(c1[lane], cos, sin);
    normals[0][lane] = first * cos;
    normals[1][lane] = first * sin;
    const float second = sqrt(minus_two_log(c2[lane]));
    cos_sin(c3[lane], cos, sin);
    normals[2][lane] = second * cos;
    normals[3][lane] = second * sin;
  }
  interleave(normals[0], normals[1], normals[2], normals[3], out);
}

// Whole chunks go straight into a float buffer; a double one takes them through `chunk`.
FASTVAE_INLINE float* whole_chunk(float* out, float*) { return out; }
FASTVAE_INLINE float* whole_chunk(double*, float* chunk) { return chunk; }

// Elements start .. start + count of the stream of `seed`.
template <class T>
void fill_normal(uint64_t seed, int64_t start, int64_t count, T* out) {
  constexpr int64_t kChunk = 4 * kLanes;
  alignas(64) float chunk[kChunk];
  int64_t group = start / 4, skip = start % 4;
  for (int64_t done = 0; done < count; group += kLanes, skip = 0) {
    const int64_t take = smaller(kChunk - skip, count - done);
    float* drawn = take == kChunk ? whole_chunk(out + done, chunk) : chunk;
    normal_groups(seed, static_cast<uint64_t>(group), drawn);
    if (static_cast<const void*>(drawn) != out + done)
      for (int64_t i = 0; i < take; ++i) out[done + i] = drawn[skip + i];
    done += take;
  }
}

}  // namespace
