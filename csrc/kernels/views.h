// Moving a block of elements between a view of any dtype and layout and a contiguous buffer of the compute type.
// Mathematics above this file sees contiguous float or double only; dense operands of that type are used in place.
#pragma once
#include "kernels/common.h"

namespace {

struct BFloat16 {
  uint16_t bits;
};
struct Half {
  uint16_t bits;
};
struct Pixel {  // a byte, read as value / 255
  uint8_t value;
};
struct Count {  // a byte, read as value
  uint8_t value;
};
struct Boolean {
  uint8_t value;
};

template <class T>
FASTVAE_INLINE T decode(float value) {
  return value;
}
template <class T>
FASTVAE_INLINE T decode(double value) {
  return static_cast<T>(value);
}
template <class T>
FASTVAE_INLINE T decode(uint16_t value) {
  return static_cast<T>(static_cast<int32_t>(value));
}
template <class T>
FASTVAE_INLINE T decode(int16_t value) {
  return static_cast<T>(value);
}
template <class T>
FASTVAE_INLINE T decode(int32_t value) {
  return static_cast<T>(value);
}
template <class T>
FASTVAE_INLINE T decode(BFloat16 value) {
  return from_bits(static_cast<int32_t>(static_cast<uint32_t>(value.bits) << 16));
}
template <class T>
FASTVAE_INLINE T decode(Half value) {
  const uint32_t sign = static_cast<uint32_t>(value.bits & 0x8000u) << 16;
  const uint32_t magnitude = static_cast<uint32_t>(value.bits & 0x7FFFu) << 13;
  const float finite = from_bits(static_cast<int32_t>(magnitude)) * 0x1p112f;
  const int32_t special = static_cast<int32_t>(magnitude | 0x7F800000u);
  const int32_t bits = magnitude >= 0x0F800000u ? special : to_bits(finite);
  return from_bits(bits | static_cast<int32_t>(sign));
}
// 1 / 255 in two parts: the first product is exact, and for each byte the sum is the quotient, rounded, at no division.
template <class T>
FASTVAE_INLINE T decode(Pixel value) {
  const T pixel = static_cast<T>(static_cast<int32_t>(value.value));
  return sizeof(T) == 4 ? pixel * T(0x1.01p-8) + pixel * T(0x1.010102p-24) : pixel / T(255);
}
template <class T>
FASTVAE_INLINE T decode(Count value) {
  return static_cast<T>(static_cast<int32_t>(value.value));
}
template <class T>
FASTVAE_INLINE T decode(Boolean value) {
  return value.value ? T(1) : T(0);
}

FASTVAE_INLINE void encode(float value, float& out) { out = value; }
FASTVAE_INLINE void encode(double value, float& out) { out = static_cast<float>(value); }
FASTVAE_INLINE void encode(float value, double& out) { out = value; }
FASTVAE_INLINE void encode(double value, double& out) { out = value; }
FASTVAE_INLINE void encode(float value, BFloat16& out) {
  const uint32_t bits = static_cast<uint32_t>(to_bits(value));
  const uint32_t rounded = (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16;
  out.bits = static_cast<uint16_t>(value == value ? rounded : 0x7FC0u);
}
// Round to nearest even: the addition of a power of two chosen by the exponent does the rounding.
FASTVAE_INLINE void encode(float value, Half& out) {
  const uint32_t bits = static_cast<uint32_t>(to_bits(value)), doubled = bits + bits;
  uint32_t bias = doubled & 0xFF000000u;
  bias = bias < 0x71000000u ? 0x71000000u : bias;
  const float magnitude = libm::fabs(value) * 0x1p112f * 0x1p-110f;
  const uint32_t rounded =
      static_cast<uint32_t>(to_bits(from_bits(static_cast<int32_t>((bias >> 1) + 0x07800000u)) + magnitude));
  const uint32_t finite = ((rounded >> 13) & 0x7C00u) + (rounded & 0x0FFFu);
  out.bits = static_cast<uint16_t>(((bits >> 16) & 0x8000u) | (doubled > 0xFF000000u ? 0x7E00u : finite));
}
FASTVAE_INLINE void encode(double value, BFloat16& out) { encode(static_cast<float>(value), out); }
FASTVAE_INLINE void encode(double value, Half& out) { encode(static_cast<float>(value), out); }

// Elements begin .. begin + size of a space, in row-major order, and the coordinates of the first.
struct Range {
  int64_t begin, size;
  int64_t coordinate[kMaxRank];

  FASTVAE_INLINE Range(const Space& space, int64_t begin, int64_t size) : begin(begin), size(size) {
    int64_t rest = begin;
    for (int d = space.rank - 1; d > 0; --d) {
      const int64_t above = rest / space.shape[d];
      coordinate[d] = rest - above * space.shape[d];
      rest = above;
    }
    coordinate[0] = rest;
  }

  // The next `size` elements. From row to row without a division.
  FASTVAE_INLINE void advance(const Space& space, int64_t next) {
    begin += size;
    coordinate[space.rank - 1] += size;
    size = next;
    for (int d = space.rank - 1; d > 0 && coordinate[d] >= space.shape[d]; --d) {
      const int64_t rows = coordinate[d] < 2 * space.shape[d] ? 1 : coordinate[d] / space.shape[d];
      coordinate[d] -= rows * space.shape[d];
      coordinate[d - 1] += rows;
    }
  }
};

FASTVAE_INLINE int64_t offset_of(const View& view, const Space& space, const Range& at) {
  int64_t offset = 0;
  for (int d = 0; d < space.rank; ++d) offset += at.coordinate[d] * view.strides[d];
  return offset;
}

// Calls run(offset, stride, position, length) for each stretch of constant stride. In one place, so that the loops in
// it are compiled once.
template <class Run>
FASTVAE_INLINE void for_each_run(const View& view, const Space& space, const Range& at, Run run) {
  const int last = space.rank - 1;
  const bool contiguous = view.layout == Layout::contiguous, broadcast = view.layout == Layout::broadcast;
  int64_t coordinate[kMaxRank], position = 0, offset = contiguous ? at.begin : 0;
  int64_t length = at.size, stride = contiguous ? 1 : 0;
  if (!contiguous && !broadcast) {
    for (int d = 0; d <= last; ++d) coordinate[d] = at.coordinate[d];
    offset = offset_of(view, space, at);
    stride = view.strides[last];
    length = smaller(space.shape[last] - coordinate[last], at.size);
  }
  for (;;) {
    run(offset, stride, position, length);
    position += length;
    if (position >= at.size) return;
    offset += length * stride;
    coordinate[last] += length;
    for (int d = last; d > 0 && coordinate[d] == space.shape[d]; --d) {
      offset += view.strides[d - 1] - space.shape[d] * view.strides[d];
      coordinate[d] = 0;
      ++coordinate[d - 1];
    }
    length = smaller(space.shape[last] - coordinate[last], at.size - position);
  }
}

template <class Source, class T>
void gather(const View& view, const Space& space, const Range& at, int64_t outer, T* buffer) {
  const Source* data = static_cast<const Source*>(view.data) + outer * view.outer_stride;
  for_each_run(view, space, at, [=](int64_t offset, int64_t stride, int64_t position, int64_t length) {
    const Source* source = data + offset;
    T* out = buffer + position;
    if (stride == 1) {
      for (int64_t i = 0; i < length; ++i) out[i] = decode<T>(source[i]);
    } else if (stride == 0 && length > 0) {
      const T value = decode<T>(source[0]);
      for (int64_t i = 0; i < length; ++i) out[i] = value;
    } else {
      for (int64_t i = 0; i < length; ++i) out[i] = decode<T>(source[i * stride]);
    }
  });
}

template <class Target, class T>
void scatter(const View& view, const Space& space, const Range& at, int64_t outer, const T* buffer) {
  Target* data = static_cast<Target*>(view.data) + outer * view.outer_stride;
  for_each_run(view, space, at, [=](int64_t offset, int64_t stride, int64_t position, int64_t length) {
    Target* target = data + offset;
    const T* source = buffer + position;
    if (stride == 1) {
      for (int64_t i = 0; i < length; ++i) encode(source[i], target[i]);
    } else {
      for (int64_t i = 0; i < length; ++i) encode(source[i], target[i * stride]);
    }
  });
}

template <class T>
constexpr DType kCompute = sizeof(T) == 4 ? DType::f32 : DType::f64;

// The view's own memory where it holds the range as contiguous T already, else null.
template <class T>
FASTVAE_INLINE T* in_place(const View& view, const Space& space, const Range& at, int64_t outer) {
  if (view.dtype != kCompute<T>) return nullptr;
  T* data = static_cast<T*>(view.data) + outer * view.outer_stride;
  if (view.layout == Layout::contiguous) return data + at.begin;
  const int last = space.rank - 1;
  const bool one_row = view.strides[last] == 1 && at.size <= space.shape[last] - at.coordinate[last];
  return one_row ? data + offset_of(view, space, at) : nullptr;
}

// Prefetches a range that is about to be read. Out of line, so that no hot loop changes for it.
template <class T>
FASTVAE_NOINLINE void prefetch(const View& view, const Space& space, const Range& at) {
  FASTVAE_EFFECT();  // else the compiler sees no effect, and drops the call
  constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(T));
  if (view.dtype != kCompute<T>) return;
  for_each_run(view, space, at, [&](int64_t offset, int64_t stride, int64_t, int64_t length) {
    const T* data = static_cast<const T*>(view.data) + offset;
    for (int64_t i = 0; stride == 1 && i < length; i += kLine) FASTVAE_PREFETCH(data + i);
  });
}

template <class T, class Byte>
void gather_as(const View& view, const Space& space, const Range& at, int64_t outer, T* buffer) {
  switch (view.dtype) {
    case DType::f32: gather<float>(view, space, at, outer, buffer); break;
    case DType::f64: gather<double>(view, space, at, outer, buffer); break;
    case DType::bf16: gather<BFloat16>(view, space, at, outer, buffer); break;
    case DType::f16: gather<Half>(view, space, at, outer, buffer); break;
    case DType::u8: gather<Byte>(view, space, at, outer, buffer); break;
    case DType::boolean: gather<Boolean>(view, space, at, outer, buffer); break;
    case DType::i64:
    case DType::u16:
    case DType::i16:
    case DType::i32: FASTVAE_UNREACHABLE();  // see load_counts
  }
}

// The range as contiguous T: in place, else copied to `buffer`. Null if absent. `outer` is the index of the sample.
template <class T, class Byte = Pixel>
FASTVAE_INLINE const T* load(const View& view, const Space& space, const Range& at, T* buffer, int64_t outer = 0) {
  if (!view) return nullptr;
  if (const T* values = in_place<T>(view, space, at, outer)) return values;
  gather_as<T, Byte>(view, space, at, outer, buffer);
  return buffer;
}

// The same of counts: any integers, read as they are, and all that is no integer.
template <class T>
const T* load_counts(const View& view, const Space& space, const Range& at, T* buffer) {
  switch (view.dtype) {
    case DType::u8: gather<Count>(view, space, at, 0, buffer); return buffer;
    case DType::u16: gather<uint16_t>(view, space, at, 0, buffer); return buffer;
    case DType::i16: gather<int16_t>(view, space, at, 0, buffer); return buffer;
    case DType::i32: gather<int32_t>(view, space, at, 0, buffer); return buffer;
    default: return load<T>(view, space, at, buffer);
  }
}

// Where a range of an output is computed: in place, or staged in a buffer for `store` to move.
template <class T>
struct Destination {
  T* values;
  bool staged;

  FASTVAE_INLINE operator T*() const { return values; }
};

// Staged in `buffer` where the output is of another dtype or not contiguous, or is absent.
template <class T>
FASTVAE_INLINE Destination<T> destination(const View& view, const Space& space, const Range& at, T* buffer,
                                          int64_t outer = 0) {
  T* values = view ? in_place<T>(view, space, at, outer) : nullptr;
  return {values ? values : buffer, !values};
}

template <class T>
void scatter_as(const View& view, const Space& space, const Range& at, int64_t outer, const T* values) {
  switch (view.dtype) {
    case DType::f32: scatter<float>(view, space, at, outer, values); break;
    case DType::f64: scatter<double>(view, space, at, outer, values); break;
    case DType::bf16: scatter<BFloat16>(view, space, at, outer, values); break;
    case DType::f16: scatter<Half>(view, space, at, outer, values); break;
    case DType::u8:
    case DType::boolean:
    case DType::i64:
    case DType::u16:
    case DType::i16:
    case DType::i32: FASTVAE_UNREACHABLE();  // never an output
  }
}

template <class T>
FASTVAE_INLINE void store(const View& view, const Space& space, const Range& at, const Destination<T>& from,
                          int64_t outer = 0) {
  if (view && from.staged) scatter_as<T>(view, space, at, outer, from.values);
}

}  // namespace
