// What GCC and clang on one side and MSVC on the other spell differently. All of them must keep IEEE arithmetic: no
// contraction, no reassociation, nothing computed in more than its own precision.
#pragma once
#include <stddef.h>

#if defined(__FAST_MATH__) || defined(_M_FP_FAST)
#error "fastvae: -ffast-math, -Ofast and /fp:fast change results; take them out of the compiler's flags"
#endif
#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ != 0
#error "fastvae: this processor computes floats in more than their own precision"
#endif

#if defined(__GNUC__) || defined(__clang__)

#define FASTVAE_INLINE inline __attribute__((always_inline))
#define FASTVAE_NOINLINE __attribute__((noinline))
#define FASTVAE_UNREACHABLE() __builtin_unreachable()
#define FASTVAE_PREFETCH(address) __builtin_prefetch(address)
// A function that does this is called even where a compiler sees no other effect of it.
#define FASTVAE_EFFECT() __asm__ volatile("")
#define FASTVAE_LIBM(name) __builtin_##name

#else

#include <intrin.h>
#include <math.h>
#include <string.h>

// Older versions contract under /fp:precise.
#pragma fp_contract(off)

#define FASTVAE_INLINE __forceinline
#define FASTVAE_NOINLINE __declspec(noinline)
#define FASTVAE_UNREACHABLE() __assume(0)
#if defined(_M_ARM64)
#define FASTVAE_PREFETCH(address) __prefetch(address)
#else
#define FASTVAE_PREFETCH(address) _mm_prefetch(reinterpret_cast<const char*>(address), _MM_HINT_T0)
#endif
#define FASTVAE_EFFECT() _ReadWriteBarrier()
#define FASTVAE_LIBM(name) ::name

#endif

// Has the processor a fused multiply-add? GCC says so of any where it is fast; MSVC gives it with these two.
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA) || defined(__FP_FAST_FMAF) || \
    (defined(_MSC_VER) && !defined(__clang__) && (defined(__AVX2__) || defined(_M_ARM64)))
#define FASTVAE_HAS_FMA
#endif

namespace {

// The C library's functions, under a name that those of the kernels do not hide, and which compilers know.
namespace libm {

FASTVAE_INLINE double exp(double x) { return FASTVAE_LIBM(exp)(x); }
FASTVAE_INLINE double exp2(double x) { return FASTVAE_LIBM(exp2)(x); }
FASTVAE_INLINE double expm1(double x) { return FASTVAE_LIBM(expm1)(x); }
FASTVAE_INLINE double log(double x) { return FASTVAE_LIBM(log)(x); }
FASTVAE_INLINE double log1p(double x) { return FASTVAE_LIBM(log1p)(x); }
FASTVAE_INLINE double log2(double x) { return FASTVAE_LIBM(log2)(x); }
FASTVAE_INLINE double fabs(double x) { return FASTVAE_LIBM(fabs)(x); }
FASTVAE_INLINE float fabs(float x) { return FASTVAE_LIBM(fabsf)(x); }
FASTVAE_INLINE double sqrt(double x) { return FASTVAE_LIBM(sqrt)(x); }
FASTVAE_INLINE float sqrt(float x) { return FASTVAE_LIBM(sqrtf)(x); }
FASTVAE_INLINE float fma(float a, float b, float c) { return FASTVAE_LIBM(fmaf)(a, b, c); }

}  // namespace libm

FASTVAE_INLINE void copy_bytes(void* to, const void* from, size_t bytes) { FASTVAE_LIBM(memcpy)(to, from, bytes); }
FASTVAE_INLINE void clear_bytes(void* to, size_t bytes) { FASTVAE_LIBM(memset)(to, 0, bytes); }

template <class T>
constexpr T kInfinity = static_cast<T>(__builtin_huge_val());  // which MSVC knows, too
template <class T>
constexpr T kNan = static_cast<T>(__builtin_nan("0"));

}  // namespace
