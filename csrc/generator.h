// What PyTorch's CUDA generator would draw, computed on the host: a kernel can take it as an argument.
#pragma once
#include <cstdint>

namespace fastvae {

// The int64 that torch.randint(-2^63, 2^63 - 1) draws on a CUDA device whose generator is at `offset`, a multiple of 4:
// two words of its first thread's Philox4x32-10 (Salmon et al. 2011), modulo 2^64 - 1 and less 2^63.
inline int64_t cuda_randint(uint64_t seed, uint64_t offset) {
  const uint64_t group = offset / 4;
  uint32_t c0 = static_cast<uint32_t>(group), c1 = static_cast<uint32_t>(group >> 32), c2 = 0, c3 = 0;
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
    const uint64_t p0 = uint64_t{c0} * 0xD2511F53u, p1 = uint64_t{c2} * 0xCD9E8D57u;
    c0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
    c1 = static_cast<uint32_t>(p1);
    c2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c3 = static_cast<uint32_t>(p0);
  }
  const uint64_t drawn = (uint64_t{c0} << 32 | c1) % UINT64_MAX;
  return static_cast<int64_t>(drawn ^ uint64_t{1} << 63);
}

}  // namespace fastvae
