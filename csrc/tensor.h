// What the kernels know of a tensor: pointer, dtype and strides over an iteration space shared by all operands.
#pragma once
#include <stdint.h>

namespace fastvae {

constexpr int kMaxDims = 64;  // of a tensor: PyTorch's own limit
constexpr int kMaxRank = 16;  // of a space, once its dimensions are collapsed

// The number of elements of a tensor of these sizes.
inline int64_t element_count(const int64_t* first, const int64_t* last) {
  int64_t result = 1;
  for (; first != last; ++first) result *= *first;
  return result;
}

// Losses are summed in blocks of this many elements: fixed, so that sums do not depend on the number of threads.
constexpr int64_t kBlock = 2048;

// i64 is for seeds, the integers behind it for counts.
enum class DType : int { f32, f64, bf16, f16, u8, boolean, i64, u16, i16, i32 };

// The memory layout of a view over its space: row-major without gaps, one element broadcast to all, or any strides.
enum class Layout : int { contiguous, broadcast, strided };

// One operand, broadcast to the iteration space by strides of 0. `outer_stride` is that of a further, outermost
// dimension which some kernels loop over (the samples of a posterior). A null pointer is an absent operand.
struct View {
  void* data = nullptr;
  DType dtype = DType::f32;
  Layout layout = Layout::contiguous;
  int64_t strides[kMaxRank] = {};
  int64_t outer_stride = 0;

  explicit operator bool() const { return data != nullptr; }
};

// Where a gradient goes. That of an operand which was broadcast is summed: each part of the space adds to `size` sums
// of its own, in the order of the gradient's elements.
struct Gradient : View {
  double* sums = nullptr;
  int64_t size = 0;
};

// A row-major index space after collapsing dimensions, cut into samples of equal size and samples into blocks.
// A block lies within one sample, or holds whole samples where those are short.
struct Space {
  int rank = 0;
  int64_t shape[kMaxRank] = {};
  int64_t count = 0;
  int64_t samples = 0;
  int64_t sample_size = 0;

  bool long_samples() const { return sample_size >= kBlock; }
  int64_t blocks_per_sample() const { return (sample_size + kBlock - 1) / kBlock; }
  int64_t samples_per_block() const { return kBlock / sample_size; }
  int64_t blocks() const {
    if (count == 0) return 0;
    if (long_samples()) return samples * blocks_per_sample();
    return (samples + samples_per_block() - 1) / samples_per_block();
  }
};

}  // namespace fastvae
