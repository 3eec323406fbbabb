// Chooses the unit this process runs: the best one the processor has, capped by FASTVAE_CPU_CAPABILITY.
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "arguments.h"
#ifdef FASTVAE_X86_UNITS
#include "processor.h"
#endif

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
  const Processor processor;
  const Unit units[] = {{"default", &kernels_default, true},
                        {"avx2", &kernels_avx2, processor.avx2},
                        {"avx512", &kernels_avx512, processor.avx512}};
#else
  // Of every name, so that one setting does for all machines of a cluster. The default is NEON where it is arm64.
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
