// What every kernel file needs. Everything below csrc/kernels is compiled once per instruction set, so it lives in an
// anonymous namespace and uses no standard library templates: no symbol of one unit can end up in another.
#pragma once
#include <stdint.h>

#include "arguments.h"
#include "kernels/compiler.h"

namespace {

using namespace fastvae;

FASTVAE_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

FASTVAE_INLINE float from_bits(int32_t bits) {
  float value;
  copy_bytes(&value, &bits, 4);
  return value;
}

FASTVAE_INLINE int32_t to_bits(float value) {
  int32_t bits;
  copy_bytes(&bits, &value, 4);
  return bits;
}

}  // namespace
