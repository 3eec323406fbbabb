// The features of an x86-64 processor that a unit may use, where the operating system saves their registers, too.
#pragma once
#if !defined(__GNUC__) && !defined(__clang__)
#include <intrin.h>
#endif

namespace fastvae {

struct Processor {
  bool avx2 = false;    // and fused multiply-adds
  bool avx512 = false;  // F, BW, DQ and VL

#if defined(__GNUC__) || defined(__clang__)
  Processor() {
    __builtin_cpu_init();
    avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  }
#else
  Processor() {
    int leaf1[4], leaf7[4];  // EAX, EBX, ECX, EDX
    __cpuid(leaf1, 0);
    if (leaf1[0] < 7) return;
    __cpuid(leaf1, 1);
    __cpuidex(leaf7, 7, 0);
    const auto all = [](int bits, unsigned wanted) { return (static_cast<unsigned>(bits) & wanted) == wanted; };
    constexpr unsigned kFma = 1u << 12, kOsxsave = 1u << 27, kAvx = 1u << 28, kAvx2 = 1u << 5;
    constexpr unsigned kAvx512 = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;  // F, DQ, BW, VL
    if (!all(leaf1[2], kFma | kOsxsave | kAvx)) return;
    const int saved = static_cast<int>(_xgetbv(0));
    avx2 = all(saved, 0x06) && all(leaf7[1], kAvx2);
    avx512 = avx2 && all(saved, 0xE6) && all(leaf7[1], kAvx512);
  }
#endif
};

}  // namespace fastvae
