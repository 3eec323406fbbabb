#include "array.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <numeric>

namespace native {

using fastvae::DType;

namespace {

constexpr char kFill = '\xFF';

// Towards zero: what is stored is what is read back.
uint16_t bfloat16_of(double value) {
  const float narrow = static_cast<float>(value);
  uint32_t bits;
  std::memcpy(&bits, &narrow, sizeof bits);
  return static_cast<uint16_t>(bits >> 16);
}
double of_bfloat16(uint16_t stored) {
  const uint32_t bits = static_cast<uint32_t>(stored) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return static_cast<double>(value);
}
uint16_t half_of(double value) {
  const uint32_t sign = std::signbit(value) ? 0x8000u : 0u;
  if (std::isnan(value)) return 0x7E00u;
  if (std::fabs(value) >= 65536) return static_cast<uint16_t>(sign | 0x7C00u);
  int exponent;
  const double fraction = std::frexp(std::fabs(value), &exponent);  // in [1/2, 1)
  if (exponent < -13) return static_cast<uint16_t>(sign | static_cast<uint32_t>(std::ldexp(std::fabs(value), 24)));
  const uint32_t mantissa = static_cast<uint32_t>(std::ldexp(fraction, 11)) & 0x3FFu;
  return static_cast<uint16_t>(sign | static_cast<uint32_t>(exponent + 14) << 10 | mantissa);
}
double of_half(uint16_t stored) {
  const int exponent = (stored >> 10) & 31, mantissa = stored & 0x3FF;
  const double size = exponent == 31  ? (mantissa ? NAN : INFINITY)
                      : exponent == 0 ? std::ldexp(mantissa, -24)
                                      : std::ldexp(1024 + mantissa, exponent - 25);
  return stored & 0x8000 ? -size : size;
}

template <class T>
T read(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
template <class T>
void write(char* to, T value) {
  std::memcpy(to, &value, sizeof value);
}

double decoded(DType dtype, const char* from) {
  switch (dtype) {
    case DType::f32: return static_cast<double>(read<float>(from));
    case DType::f64: return read<double>(from);
    case DType::bf16: return of_bfloat16(read<uint16_t>(from));
    case DType::f16: return of_half(read<uint16_t>(from));
    case DType::u8: return read<uint8_t>(from);
    case DType::boolean: return read<uint8_t>(from) != 0;
    case DType::i64: return static_cast<double>(read<int64_t>(from));
    case DType::u16: return read<uint16_t>(from);
    case DType::i16: return read<int16_t>(from);
    case DType::i32: return read<int32_t>(from);
  }
  return NAN;
}

void encode(DType dtype, double value, char* to) {
  switch (dtype) {
    case DType::f32: return write(to, static_cast<float>(value));
    case DType::f64: return write(to, value);
    case DType::bf16: return write(to, bfloat16_of(value));
    case DType::f16: return write(to, half_of(value));
    case DType::u8:
    case DType::boolean: return write(to, static_cast<uint8_t>(value));
    case DType::i64: return write(to, static_cast<int64_t>(value));
    case DType::u16: return write(to, static_cast<uint16_t>(value));
    case DType::i16: return write(to, static_cast<int16_t>(value));
    case DType::i32: return write(to, static_cast<int32_t>(value));
  }
}

// Strides of the order within one of `outer` tensors, and from one to the next in `outer_stride`, which is 0 where they
// lie behind each other: those of `every_other` are interleaved, as channels that come last, those of `rows` lie within
// each sample, as channels that come second.
Sizes strides_of(const Sizes& sizes, Order order, int64_t outer, int64_t& outer_stride) {
  const size_t rank = sizes.size();
  Sizes strides(rank, 0);
  const bool channels = outer > 1, last = order == Order::every_other, second = order == Order::rows;
  int64_t next = last ? (channels ? outer : 2) : 1;
  if (channels && last) outer_stride = 1;
  const auto place = [&](size_t d) {
    strides[d] = next;
    next *= std::max<int64_t>(sizes[d], 1);
    if (second && !channels && d + 1 == rank) next += 3;
    if (second && channels && d == 1) outer_stride = next, next *= outer;
  };
  if (order == Order::one) return strides;
  if (order == Order::transposed) {
    for (size_t d = 0; d < rank; ++d) place(d);
  } else {
    const size_t first = order == Order::by_feature ? 1 : 0, stop = order == Order::by_sample ? 1 : rank;
    for (size_t d = stop; d-- > first;) place(d);
  }
  return strides;
}

}  // namespace

double Random::between(double low, double high) {
  uint64_t z = state_ += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return low + (high - low) * std::ldexp(static_cast<double>((z ^ (z >> 31)) >> 11), -53);
}

int64_t& guard_bytes() {
  static int64_t bytes = 64;
  return bytes;
}

int64_t size_of(DType dtype) {
  switch (dtype) {
    case DType::f64:
    case DType::i64: return 8;
    case DType::f32:
    case DType::i32: return 4;
    case DType::u8:
    case DType::boolean: return 1;
    default: return 2;
  }
}

double roundoff(DType dtype) {
  return dtype == DType::f64 ? 0x1p-53 : dtype == DType::f32 ? 0x1p-24 : dtype == DType::f16 ? 0x1p-11 : 0x1p-8;
}

double least_rounding(DType dtype) { return dtype == DType::f16 ? 0x1p-25 : 0; }

Array::Array(DType dtype, const Sizes& sizes, Order order, int64_t outer)
    : dtype(dtype), order(order), sizes(sizes), outer_size(outer) {
  strides = strides_of(sizes, order, outer, outer_stride);
  span = elements() ? 1 : 0;
  for (size_t d = 0; span && d < sizes.size(); ++d) span += strides[d] * (sizes[d] - 1);
  if (outer_stride == 0) outer_stride = span + 5;
  const int64_t item = size_of(dtype), lead = order == Order::rows ? item : 0;
  const int64_t used = span ? ((outer - 1) * outer_stride + span) * item : 0;
  start_ = guard_bytes() + lead;
  memory_.assign(static_cast<size_t>(std::max<int64_t>(start_ + used + guard_bytes(), 1)), kFill);
  is_element_.assign(memory_.size(), 0);
  for (int64_t k = 0; k < outer; ++k)
    for (int64_t i = 0; i < count(); ++i)
      std::fill_n(is_element_.begin() + start_ + element(i, k) * item, item, char(1));
  if (count() == 0) std::fill_n(is_element_.begin() + start_, span * item, char(1));
}

int64_t Array::count() const { return fastvae::element_count(sizes.data(), sizes.data() + sizes.size()); }

int64_t Array::elements() const {
  const auto first = sizes.begin(), last = sizes.end();
  switch (order) {
    case Order::by_sample: return sizes[0];
    case Order::by_feature: return std::accumulate(first + 1, last, int64_t(1), std::multiplies<int64_t>());
    case Order::one: return 1;
    default: return count();
  }
}

int64_t Array::element(int64_t index, int64_t outer) const {
  int64_t at = outer * outer_stride;
  for (size_t d = sizes.size(); d-- > 0;) {
    at += index % sizes[d] * strides[d];
    index /= sizes[d];
  }
  return at;
}

void Array::set(int64_t index, int64_t outer, double value) {
  encode(dtype, value, data() + element(index, outer) * size_of(dtype));
}

double Array::get_at(int64_t element) const {
  return decoded(dtype, memory_.data() + start_ + element * size_of(dtype));
}

double Array::get(int64_t index, int64_t outer) const { return get_at(element(index, outer)); }

Array& Array::fill(Random& random, double low, double high, bool integers) {
  for (int64_t k = 0; k < outer_size; ++k)
    for (int64_t i = 0; i < count(); ++i) {
      const double value = random.between(low, high);
      set(i, k, integers ? std::floor(value) : value);
    }
  keep();
  return *this;
}

void Array::keep() { kept_ = memory_; }

void Array::restore() {
  if (kept_.empty()) kept_.assign(memory_.size(), kFill);
  memory_ = kept_;
}

bool Array::kept() const { return memory_ == kept_; }

bool Array::unharmed() const {
  for (size_t i = 0; i < memory_.size(); ++i)
    if (!is_element_[i] && memory_[i] != kFill) return false;
  return true;
}

}  // namespace native
