// The noise contract: Philox4x32-7 (Salmon et al. 2011) and Box-Muller on its words, bit for bit the noise of
// fastvae.reference.noise. Only IEEE add, multiply, fused multiply-add, sqrt and conversions.
#pragma once
#include "kernels/elementary.h"
#include "kernels/fused.h"
#include "kernels/philox.h"

namespace {

// -2 ln u of u = (2 (word >> 9) + 1) 2^-24. With 1 + f in [1/2, 1) the mantissa of u, `steps` 2^-23 is log2 u but for a
// polynomial in f: the bits of a float are its logarithm, drawn with a ruler from each power of two to the next.
FASTVAE_INLINE float minus_two_log(uint32_t word) {
  const float u = from_bits(static_cast<int32_t>((word >> 9) | 0x3F800000u)) - 0x1.fffffep-1f;
  const int32_t bits = to_bits(u);
  const float steps = static_cast<float>(bits - 0x3F800000);
  const float f = from_bits((bits & 0x007FFFFF) | 0x3F000000) - 1.0f;
  float p = fused(f, -0x1.70ec74p+1f, -0x1.b220bep+1f);
  p = fused(p, f, -0x1.41f6a8p+1f);
  p = fused(p, f, -0x1.a0d90ep-2f);
  p = fused(p, f, -0x1.14155ep-1f);
  p = fused(p, f, 0x1.f143d0p-2f);
  p = fused(p, f, -0x1.55b5b0p-1f);
  p = fused(p, f, 0x1.fffe1ap-1f);
  p = fused(p, f, 0x1.8b90bep-1f);
  return fused(steps, -0x1.62e430p-23f, p * f);
}

// The normals of two words. The second's low bits are an angle within an eighth of a turn of 0, its upper two the
// reflections that make it any: bit 30 exchanges cosine and sine, bit 31 negates both.
FASTVAE_INLINE void pair_of_normals(uint32_t radius_word, uint32_t angle_word, float& first, float& second) {
  const float magnitude = sqrt(minus_two_log(radius_word));
  const float radius = from_bits(to_bits(magnitude) | static_cast<int32_t>(angle_word & 0x80000000u));
  const float v = from_bits(static_cast<int32_t>((angle_word & 0x007FFFFEu) | 0x3F800001u)) - 1.5f, z = v * v;
  float c = fused(z, -0x1.4e842ap-6f, 0x1.03b07ep-2f);
  c = fused(c, z, -0x1.3bd39cp+0f);
  c = fused(c, z, 1.0f);
  float s = fused(z, -0x1.2d9302p-8f, 0x1.465e9ep-4f);
  s = fused(s, z, -0x1.4abbc6p-1f);
  s = fused(s, z, 0x1.921fb6p+0f);
  s = s * v;
  const bool exchanged = (angle_word & 0x40000000u) != 0;
  first = radius * (exchanged ? s : c);
  second = radius * (exchanged ? c : s);
}

// The normals of `batches` * kLanes counters from `group` on, as the contract orders them. Each step runs over all of
// them before the next begins: the processor then sees many short independent chains instead of few long ones.
constexpr int kBatches = 8;

FASTVAE_INLINE void normal_groups(const Keys& keys, uint64_t group, int batches, float* out) {
  alignas(64) uint32_t radius[2 * kBatches * kLanes], angle[2 * kBatches * kLanes];
  const int pairs = 2 * batches * kLanes;
  for (int i = 0; i < batches * kLanes; i += kLanes)
    philox(keys, group + static_cast<uint64_t>(i), radius + 2 * i, angle + 2 * i);
#pragma omp simd
  for (int i = 0; i < pairs; ++i) pair_of_normals(radius[i], angle[i], out[2 * i], out[2 * i + 1]);
}

// Whole draws go straight into a float buffer; a double one takes them through `drawn`.
FASTVAE_INLINE float* whole_draw(float* out, float*) { return out; }
FASTVAE_INLINE float* whole_draw(double*, float* drawn) { return drawn; }

// Elements start .. start + count of the stream of `seed`.
template <class T>
void fill_normal(uint64_t seed, int64_t start, int64_t count, T* out) {
  constexpr int64_t kBatch = 4 * kLanes;
  alignas(64) float buffer[kBatches * kBatch];
  const Keys keys = keys_of(seed);
  int64_t group = start / 4, skip = start % 4;
  for (int64_t done = 0; done < count; skip = 0) {
    const int64_t batches = smaller(kBatches, (skip + count - done + kBatch - 1) / kBatch);
    const int64_t take = smaller(batches * kBatch - skip, count - done);
    float* drawn = take == batches * kBatch ? whole_draw(out + done, buffer) : buffer;
    normal_groups(keys, static_cast<uint64_t>(group), static_cast<int>(batches), drawn);
    if (static_cast<const void*>(drawn) != out + done)
      for (int64_t i = 0; i < take; ++i) out[done + i] = drawn[skip + i];
    done += take;
    group += batches * kLanes;
  }
}

}  // namespace
