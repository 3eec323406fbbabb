// The noise contract: Philox4x32-10 (Salmon et al. 2011) and Box-Muller on its words, bit for bit the noise of
// fastvae.reference.noise. Only IEEE add, multiply, sqrt and exact conversions, and never a fused multiply-add.
#pragma once
#include "kernels/math.h"

namespace {

constexpr int kLanes = 16;  // counters generated together
constexpr uint32_t kStream = 0;

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
  uint32_t c0[kLanes], c1[kLanes], c2[kLanes], c3[kLanes];
  for (int lane = 0; lane < kLanes; ++lane) {
    const uint64_t g = group + static_cast<uint64_t>(lane);
    c0[lane] = static_cast<uint32_t>(g);
    c1[lane] = static_cast<uint32_t>(g >> 32);
    c2[lane] = kStream;
    c3[lane] = 0;
  }
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
#pragma omp simd
    for (int lane = 0; lane < kLanes; ++lane) {
      const uint64_t p0 = static_cast<uint64_t>(c0[lane]) * 0xD2511F53u;
      const uint64_t p1 = static_cast<uint64_t>(c2[lane]) * 0xCD9E8D57u;
      c0[lane] = static_cast<uint32_t>(p1 >> 32) ^ c1[lane] ^ k0;
      c1[lane] = static_cast<uint32_t>(p1);
      c2[lane] = static_cast<uint32_t>(p0 >> 32) ^ c3[lane] ^ k1;
      c3[lane] = static_cast<uint32_t>(p0);
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
#pragma omp simd
  for (int lane = 0; lane < kLanes; ++lane) {
    float cos, sin;
    const float first = sqrt(minus_two_log(c0[lane]));
    cos_sin(c1[lane], cos, sin);
    out[4 * lane] = first * cos;
    out[4 * lane + 1] = first * sin;
    const float second = sqrt(minus_two_log(c2[lane]));
    cos_sin(c3[lane], cos, sin);
    out[4 * lane + 2] = second * cos;
    out[4 * lane + 3] = second * sin;
  }
}

// Elements start .. start + count of the stream of `seed`.
template <class T>
void fill_normal(uint64_t seed, int64_t start, int64_t count, T* out) {
  float chunk[4 * kLanes];
  int64_t group = start / 4, skip = start % 4;
  for (int64_t done = 0; done < count;) {
    normal_groups(seed, static_cast<uint64_t>(group), chunk);
    const int64_t take = smaller(4 * kLanes - skip, count - done);
    for (int64_t i = 0; i < take; ++i) out[done + i] = chunk[skip + i];
    done += take;
    group += kLanes;
    skip = 0;
  }
}

}  // namespace
