// Chooses the unit this process runs: the best one the processor has, capped by FASTVAE_CPU_CAPABILITY.
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "arguments.h"

namespace fastvae {

extern const Kernels kernels_default;
extern const Kernels kernels_avx2;
extern const Kernels kernels_avx512;

namespace {

struct Unit {
  const char* capability;
  const Kernels* kernels;
  bool supported;
};

const Kernels& choose() {
#ifdef FASTVAE_X86_UNITS
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  const Unit units[] = {
      {"default", &kernels_default, true}, {"avx2", &kernels_avx2, avx2}, {"avx512", &kernels_avx512, avx512}};
#else
  const Unit units[] = {{"default", &kernels_default, true}, {"avx2", nullptr, false}, {"avx512", nullptr, false}};
#endif
  const char* cap = std::getenv("FASTVAE_CPU_CAPABILITY");
  const Kernels* best = &kernels_default;
  bool known = cap == nullptr;
  for (const Unit& unit : units) {
    if (unit.supported) best = unit.kernels;
    if (cap && unit.capability == std::string(cap)) {
      known = true;
      break;
    }
  }
  if (!known)
    throw std::invalid_argument("FASTVAE_CPU_CAPABILITY: got '" + std::string(cap) +
                                "'; takes default, avx2 or avx512");
  return *best;
}

}  // namespace

const Kernels& kernels() {
  static const Kernels& chosen = choose();
  return chosen;
}

}  // namespace fastvae
