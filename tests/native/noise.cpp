// The noise contract, bit for bit: the streams of docs/noise.md, and a digest of many normals.
#include <cstring>

#include "launch.h"

namespace native {
namespace {

// CRC-32 of 2^20 normals of seed 20260 from element 3 on, as float32 in little-endian order.
constexpr int64_t kSeed = 20260, kStart = 3, kCount = 1 << 20;
constexpr uint32_t kDigest = 0x71DAD3D2;

uint32_t crc32(const void* data, size_t size) {
  uint32_t table[256];
  for (uint32_t i = 0; i < 256; ++i) {
    table[i] = i;
    for (int bit = 0; bit < 8; ++bit) table[i] = table[i] & 1 ? table[i] >> 1 ^ 0xEDB88320u : table[i] >> 1;
  }
  uint32_t crc = ~0u;
  const unsigned char* bytes = static_cast<const unsigned char*>(data);
  for (size_t i = 0; i < size; ++i) crc = crc >> 8 ^ table[(crc ^ bytes[i]) & 255];
  return ~crc;
}

std::vector<float> normals(int64_t seed, int64_t start, int64_t count, int threads) {
  std::vector<float> out(static_cast<size_t>(count));
  Normal arguments;
  arguments.seed = &seed;
  arguments.start = start;
  arguments.count = count;
  arguments.out = out.data();
  arguments.threads = threads;
  unit().normal(arguments);
  return out;
}

struct Stream {
  int64_t seed, element;
  float normals[4];
};

// docs/noise.md.
const Stream kStreams[] = {
    {0, 0, {0x1.197488p+0f, -0x1.bfb92p-1f, 0x1.cc101p-1f, 0x1.3deba2p+0f}},
    {0, 4, {-0x1.01e9fp+0f, -0x1.4125dap-3f, -0x1.1bc76cp+0f, -0x1.e5a58ap-1f}},
    {1, 0, {-0x1.67a852p-3f, 0x1.033092p-2f, -0x1.7764f2p-1f, 0x1.453ae6p+0f}},
    {-1, 0, {0x1.3ae5c6p-1f, 0x1.2a2b48p+0f, 0x1.bd60d4p-1f, 0x1.4ac02ep-1f}},
    {12345, 1000, {0x1.1486dp+0f, -0x1.b0df82p+0f, 0x1.da32ap-1f, -0x1.ad2752p+0f}},
    {-987654321, 17179869180, {0x1.093bap-1f, -0x1.443a76p+0f, 0x1.92b1acp+0f, 0x1.229d62p-2f}},
    {INT64_MAX, 17179869184, {0x1.2f47f4p-2f, -0x1.10ca7p-1f, 0x1.09e66p-2f, -0x1.9eafb6p-4f}},
    {INT64_MIN, 1099511627776, {0x1.0f9542p+0f, -0x1.80fe98p-6f, -0x1.3d0954p-1f, -0x1.8114fap+0f}},
};

NATIVE_TEST(noise_of_the_document) {
  for (const Stream& stream : kStreams)
    for (int64_t skip = 0; skip < 4; ++skip) {
      const std::vector<float> got = normals(stream.seed, stream.element + skip, 4 - skip, 1);
      CHECK(std::memcmp(got.data(), stream.normals + skip, got.size() * sizeof(float)) == 0);
    }
}

NATIVE_TEST(noise_of_any_length) {
  const std::vector<float> all = normals(7, 0, 3000, 1);
  for (const int64_t count : {0, 1, 2, 3, 4, 5, 63, 64, 65, 511, 512, 513, 2047, 2048, 2049})
    for (const int64_t start : {0, 1, 2, 3, 4, 100, 511}) {
      const std::vector<float> got = normals(7, start, count, 1);
      CHECK(got.empty() || std::memcmp(got.data(), all.data() + start, got.size() * sizeof(float)) == 0);
    }
}

NATIVE_TEST(noise_digest) {
  for (const int threads : kThreads) {
    const std::vector<float> got = normals(kSeed, kStart, kCount, threads);
    const uint32_t digest = crc32(got.data(), got.size() * sizeof(float));
    check(digest == kDigest, "digest " + std::to_string(digest));
  }
}

}  // namespace
}  // namespace native
