// Page faults, one every few KB, cost more than the arithmetic on a large output.
#pragma once
#include <cstdint>
#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace fastvae {

constexpr int64_t kHugeOutput = int64_t(4) << 20;

// Asks for larger pages where an output is large. A hint: whether it is followed changes no result.
inline void advise_huge_pages(void* data, int64_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  if (bytes < kHugeOutput) return;
  const uintptr_t within_page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE)) - 1;
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(data) + within_page) & ~within_page;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(data) + static_cast<uintptr_t>(bytes)) & ~within_page;
  madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#else
  static_cast<void>(data), static_cast<void>(bytes);
#endif
}

}  // namespace fastvae
