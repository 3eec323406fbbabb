// An operand or output of a kernel in memory of its own, in any dtype and order. Whatever in it is no element is filled
// with bytes that read as NaN and must stay.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "layout.h"
#include "tensor.h"

namespace native {

using Sizes = std::vector<int64_t>;

// The order of an array's elements in memory. The last three have one element for many of the shape.
enum class Order { contiguous, rows, every_other, transposed, by_sample, by_feature, one };
constexpr int kOrders = 7, kDenseOrders = 4;

// Numbers that are the same on every machine (SplitMix64, Steele et al. 2014).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  double between(double low, double high);

 private:
  uint64_t state_;
};

// Bytes before and behind every array. None where a tool guards allocations itself.
int64_t& guard_bytes();

int64_t size_of(fastvae::DType dtype);
// The roundoff of a dtype, and half its least distance.
double roundoff(fastvae::DType dtype);
double least_rounding(fastvae::DType dtype);

class Array {
 public:
  Array() = default;
  // `outer` arrays behind each other: the further dimension that some kernels loop over.
  Array(fastvae::DType dtype, const Sizes& sizes, Order order = Order::contiguous, int64_t outer = 1);

  explicit operator bool() const { return !sizes.empty(); }
  Array& fill(Random& random, double low, double high, bool integers = false);
  void set(int64_t index, int64_t outer, double value);
  double get(int64_t index, int64_t outer = 0) const;
  double get_at(int64_t element) const;

  // The place of a logical, row-major index among the array's elements.
  int64_t element(int64_t index, int64_t outer = 0) const;
  int64_t count() const;     // of the shape
  int64_t elements() const;  // those of an array that is broadcast once
  bool broadcast() const { return order >= Order::by_sample; }
  char* data() { return memory_.data() + start_; }
  std::string bytes() const { return {memory_.begin(), memory_.end()}; }

  void keep();        // as it is, for the next two
  void restore();     // what was kept
  bool kept() const;  // is it?
  bool unharmed() const;

  fastvae::DType dtype = fastvae::DType::f32;
  Order order = Order::contiguous;
  Sizes sizes, strides;
  int64_t outer_size = 1, outer_stride = 0;
  int64_t span = 0;  // from the first element to the last

 private:
  std::vector<char> memory_, kept_, is_element_;
  int64_t start_ = 0;
};

}  // namespace native
