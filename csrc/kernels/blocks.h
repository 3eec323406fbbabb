// Walking a space in blocks, over threads, and summing a loss: the same bits for any number of threads.
#pragma once
#include "float_mode.h"
#include "kernels/views.h"
#include "scratch.h"

namespace {

constexpr int64_t kGrain = 8;    // blocks that are worth starting a thread
constexpr int64_t kChunk = 512;  // elements

// Buffers of a block and of a chunk of elements.
template <class T>
using BlockOf = T[kBlock];
template <class T>
using ChunkOf = T[kChunk];

// A thread's scratch memory as an array, or as a struct of arrays with a name each. One kernel at a time may use it.
template <class Buffers>
FASTVAE_INLINE Buffers& scratch_as(char* scratch) {
  static_assert(sizeof(Buffers) <= kScratchBytes && alignof(Buffers) <= kScratchAlignment);
  return *reinterpret_cast<Buffers*>(scratch);
}

FASTVAE_INLINE char* scratch_of(const Launch& launch, int64_t worker) {
  return launch.scratch + worker * static_cast<int64_t>(kScratchBytes);
}

// Calls body(first, last, worker) for parts of 0 .. count, on at most `threads` workers, which compute in the float
// mode of the calling thread: of their own they have that of whoever began them.
template <class Body>
void parallel_for(int64_t count, int threads, int64_t grain, const Body& body) {
  const int64_t useful = smaller(threads, (count + grain - 1) / grain);
  if (useful <= 1) return body(int64_t(0), count, int64_t(0));
  const FloatMode mode = float_mode();
#pragma omp parallel for num_threads(static_cast<int>(useful)) schedule(static, 1)
  for (int64_t worker = 0; worker < useful; ++worker) {
    const InFloatMode same(mode);
    body(count * worker / useful, count * (worker + 1) / useful, worker);
  }
}

struct Block : Range {
  int64_t index, part;
  char* scratch;
};

FASTVAE_INLINE Block block_at(const Space& space, int64_t index, int64_t part, char* scratch) {
  if (space.long_samples()) {
    const int64_t per_sample = space.blocks_per_sample(), sample = index / per_sample;
    const int64_t begin = (index - sample * per_sample) * kBlock;
    return {Range(space, sample * space.sample_size + begin, smaller(kBlock, space.sample_size - begin)), index, part,
            scratch};
  }
  const int64_t size = space.samples_per_block() * space.sample_size, begin = index * size;
  return {Range(space, begin, smaller(size, space.count - begin)), index, part, scratch};
}

// One thread walks all blocks of a part, in their order.
template <class Body>
void for_each_block(const Launch& launch, const Body& body) {
  const int64_t blocks = launch.space.blocks(), parts = launch.parts;
  const int64_t threads = smaller(launch.threads, (blocks + kGrain - 1) / kGrain);
  parallel_for(parts, static_cast<int>(threads), 1, [&](int64_t first, int64_t last, int64_t worker) {
    char* scratch = scratch_of(launch, worker);
    for (int64_t part = first; part < last; ++part)
      for (int64_t index = blocks * part / parts; index < blocks * (part + 1) / parts; ++index)
        body(block_at(launch.space, index, part, scratch));
  });
}

// Calls body(chunk) for parts of a block small enough that all operands of a chunk stay in L1, and that memory is read
// while the arithmetic runs. Rows of about that size (of the halves of a packed tensor) come one at a time, so that
// they are used in place. The hardware prefetcher follows an array, but not from row to row: prefetch(first, size), of
// the first of a few rows and the size of all, is called before them.
template <class Prefetch, class Body>
FASTVAE_INLINE void for_each_chunk(const Space& space, const Block& block, const Prefetch& prefetch, const Body& body) {
  const int64_t row = space.shape[space.rank - 1];
  const bool by_row = space.rank > 1 && row >= kChunk / 8 && row < kChunk;
  const int64_t chunk = by_row ? row : kChunk, rows = kChunk / chunk * chunk, end = block.begin + block.size;
  Block at = block;
  at.size = 0;
  for (int64_t begin = block.begin; begin < end;) {
    const int64_t stop = smaller(begin + rows, end);
    for (bool first = by_row; begin < stop; begin += chunk, first = false) {
      at.advance(space, smaller(chunk, stop - begin));
      if (first) prefetch(at, stop - begin);
      body(at);
    }
  }
}

// What every chunk of a block reads of a view that is one value for all elements; null of any other.
template <class T>
FASTVAE_INLINE const T* uniform_chunk(const View& view, const Space& space, const Block& block, T* buffer) {
  if (!view || view.layout != Layout::broadcast) return nullptr;
  Range at = block;
  at.size = smaller(kChunk, block.size);
  return load(view, space, at, buffer);
}

// Pairwise, which vectorises and loses least.
template <int Lanes>
FASTVAE_INLINE double sum_of_lanes(double* lanes) {
  for (int half = Lanes / 2; half > 0; half /= 2)
    for (int lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  return lanes[0];
}

// In a fixed pattern of lanes, the same for every instruction set: each adds up to eight values before it is widened to
// double.
template <int Lanes, class T>
FASTVAE_NOINLINE double sum_in_lanes(const T* values, int64_t n) {
  double wide[Lanes] = {};
  int64_t i = 0;
  for (; i + 8 * Lanes <= n; i += 8 * Lanes) {
    const T* v = values + i;
    for (int lane = 0; lane < Lanes; ++lane, ++v)
      wide[lane] +=
          v[0] + v[Lanes] + v[2 * Lanes] + v[3 * Lanes] + v[4 * Lanes] + v[5 * Lanes] + v[6 * Lanes] + v[7 * Lanes];
  }
  T lanes[Lanes] = {};
  for (; i + Lanes <= n; i += Lanes)
    for (int lane = 0; lane < Lanes; ++lane) lanes[lane] += values[i + lane];
  for (int lane = 0; i + lane < n; ++lane) lanes[lane] += values[i + lane];
  for (int lane = 0; lane < Lanes; ++lane) wide[lane] += lanes[lane];
  return sum_of_lanes<Lanes>(wide);
}

template <class T>
FASTVAE_INLINE double sum(const T* values, int64_t n) {
  return n >= 256 ? sum_in_lanes<32>(values, n) : sum_in_lanes<16>(values, n);
}

// Takes one block of an elementwise loss: stores it, or sums it, and per sample where samples are short and their sums
// wanted. The total does not depend on whether they are.
template <class T>
void put_loss(const LossOutput& out, const Space& space, const Block& block, const Destination<T>& loss) {
  store(out.elementwise, space, block, loss);
  if (!out.partials) return;
  out.partials[block.index] = sum(loss.values, block.size);
  T* per_sample = static_cast<T*>(out.per_sample);
  if (space.long_samples() || !per_sample) return;
  for (int64_t begin = 0; begin < block.size; begin += space.sample_size)
    per_sample[(block.begin + begin) / space.sample_size] = static_cast<T>(sum(loss.values + begin, space.sample_size));
}

// Adds the blocks' sums in their order.
template <class T>
void finish_loss(const LossOutput& out, const Space& space) {
  if (!out.partials) return;
  T* per_sample = static_cast<T*>(out.per_sample);
  const bool by_sample = per_sample && (space.long_samples() || space.count == 0);
  if (by_sample) {
    const int64_t blocks = space.blocks_per_sample();
    for (int64_t sample = 0; sample < space.samples; ++sample) {
      double total = 0;
      for (int64_t block = 0; block < blocks; ++block) total += out.partials[sample * blocks + block];
      per_sample[sample] = static_cast<T>(total);
    }
  }
  if (out.total) {
    double total = 0;
    for (int64_t block = 0, blocks = space.blocks(); block < blocks; ++block) total += out.partials[block];
    *static_cast<T*>(out.total) = static_cast<T>(total * out.factor);
  }
}

// Where to compute a block of a gradient, for put_gradient to take.
template <class T>
FASTVAE_INLINE Destination<T> destination(const Gradient& out, const Space& space, const Block& block, T* buffer) {
  return out.sums ? Destination<T>{buffer, true} : destination<T>(out, space, static_cast<const Range&>(block), buffer);
}

template <class T>
void add_gradient(const Gradient& out, const Space& space, const Block& block, const T* values) {
  double* sums = out.sums + block.part * out.size;
  for_each_run(out, space, block, [=](int64_t offset, int64_t stride, int64_t position, int64_t length) {
    if (stride == 0) {
      sums[offset] += sum(values + position, length);
    } else {
      for (int64_t i = 0; i < length; ++i) sums[offset + i * stride] += values[position + i];
    }
  });
}

// Takes one block of a gradient: stores it, or adds it to the sums of its part.
template <class T>
FASTVAE_INLINE void put_gradient(const Gradient& out, const Space& space, const Block& block,
                                 const Destination<T>& from) {
  if (out.sums) return add_gradient<T>(out, space, block, from);
  store(out, space, block, from);
}

// Adds the parts' sums in their order.
template <class T>
void finish_gradient(const Gradient& out, const Launch& launch) {
  if (!out.sums) return;
  View gradient = out;
  gradient.layout = Layout::contiguous;
  Space space;
  space.rank = 1;
  for (int64_t begin = 0; begin < out.size; begin += kBlock) {
    const Range at(space, begin, smaller(kBlock, out.size - begin));
    const Destination<T> to = destination<T>(gradient, space, at, scratch_as<BlockOf<T>>(launch.scratch));
    for (int64_t i = 0; i < at.size; ++i) {
      double total = 0;
      for (int64_t part = 0; part < launch.parts; ++part) total += out.sums[part * out.size + begin + i];
      to[i] = static_cast<T>(total);
    }
    store(gradient, space, at, to);
  }
}

}  // namespace
