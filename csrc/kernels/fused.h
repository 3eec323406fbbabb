// a * b + c rounded once, as IEEE 754 defines it: the processor's own instruction where a unit may use it, else the
// same bits from float64, slowly.
#pragma once
#include "kernels/common.h"

namespace {

#ifdef FASTVAE_HAS_FMA

FASTVAE_INLINE float fused(float a, float b, float c) { return libm::fma(a, b, c); }

#else

// The product of two floats is exact in float64. The sum is rounded to odd there: where anything was lost, the last bit
// is set on the side of the exact value, so that the rounding to float32, 29 bits further up, sees no tie that was none
// (Boldo and Melquiond 2008). For arguments that are finite.
FASTVAE_INLINE float fused(float a, float b, float c) {
  const double product = static_cast<double>(a) * static_cast<double>(b), addend = static_cast<double>(c);
  const double sum = product + addend, added = sum - product;
  const double lost = (product - (sum - added)) + (addend - added);
  int64_t bits, direction;
  copy_bytes(&bits, &sum, sizeof bits);
  copy_bytes(&direction, &lost, sizeof direction);
  const int64_t outwards = ((bits ^ direction) >> 63) | 1, even = (bits & 1) - 1;
  bits += lost != 0.0 ? outwards & even : 0;
  double odd;
  copy_bytes(&odd, &bits, sizeof odd);
  return static_cast<float>(odd);
}

#endif

}  // namespace
