#include "float_mode.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace fastvae {

namespace {

#if defined(__x86_64__)
constexpr FloatMode kNearestWithoutTraps = 0x1F80, kFlush = 0x8040;  // MXCSR: masks of traps; FTZ and DAZ
FloatMode get() { return _mm_getcsr(); }
void set(FloatMode mode) { _mm_setcsr(static_cast<unsigned>(mode)); }
#elif defined(__aarch64__)
constexpr FloatMode kNearestWithoutTraps = 0, kFlush = 1 << 24 | 1 << 19;  // FPCR: FZ and FZ16
FloatMode get() {
  FloatMode mode;
  __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
  return mode;
}
void set(FloatMode mode) { __asm__ volatile("msr fpcr, %0" ::"r"(mode) : "memory"); }
#else
constexpr FloatMode kNearestWithoutTraps = 0, kFlush = 0;
FloatMode get() { return 0; }
void set(FloatMode) {}
#endif

}  // namespace

FloatMode float_mode() { return get(); }

FloatMode kernel_mode(FloatMode caller) { return kNearestWithoutTraps | (caller & kFlush); }

InFloatMode::InFloatMode(FloatMode mode) : before_(get()) { set(mode); }

InFloatMode::~InFloatMode() { set(before_); }

}  // namespace fastvae
