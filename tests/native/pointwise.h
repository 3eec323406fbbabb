// Ops that are one formula of each element: the known answers of their losses and gradients.
#pragma once
#include <array>
#include <functional>
#include <initializer_list>
#include <vector>

#include "expect.h"
#include "launch.h"

namespace native {

constexpr size_t kMostOperands = 5;
using Values = std::array<Dual, kMostOperands>;
// The formula of logical index i, of the operands' values there.
using Formula = std::function<Dual(int64_t i, const Values& operands)>;

class Pointwise {
 public:
  Pointwise(DType compute, std::vector<const Array*> operands, Formula formula)
      : compute_(compute), operands_(std::move(operands)), formula_(std::move(formula)) {}

  void expect_loss(const Array& output, const char* what, double factor = 1) const {
    expect(output, compute_, what, [&](int64_t i, int64_t) { return at(i, kMostOperands).value * Number(factor); });
  }
  // The gradient by operand j.
  void expect_gradient(const Array& output, const char* what, size_t j) const {
    expect(output, compute_, what, [&](int64_t i, int64_t) { return at(i, j).slope; });
  }

 private:
  Dual at(int64_t i, size_t by) const {
    Values values;
    for (size_t j = 0; j < operands_.size(); ++j)
      values[j] = {Number(*operands_[j] ? operands_[j]->get(i) : 0), Number(j == by ? 1 : 0)};
    return formula_(i, values);
  }

  DType compute_;
  std::vector<const Array*> operands_;
  Formula formula_;
};

// Shapes whose first dimension holds the samples: empty, one element, around a block, samples longer and shorter than
// one, rows of a chunk. None has more elements than it takes: each is computed in float64 once an operand.
inline const std::vector<Sizes>& shapes() {
  static const std::vector<Sizes> all = {{0, 3},      {3, 0},          {1, 1},          {3, 1},
                                         {1, 3},      {5, 3, 7},       {3, 4, 100},     {1, kBlock - 1},
                                         {1, kBlock}, {1, kBlock + 1}, {2, kBlock + 9}, {420, 5}};
  return all;
}
// Blocks for five threads: compared between those alone.
inline const Sizes& large_shape() {
  static const Sizes shape = {3, 3, 4 * kBlock - 55};
  return shape;
}

// What varies from case to case, by its number: the orders of the operands here, options where they are read. What runs
// the cases more than once begins with another number each time, so that shapes meet other dtypes and orders.
struct Case {
  Sizes sizes;
  DType dtype, compute;
  int number;
  bool known;  // are the answers computed?

  Order order(int operand) const { return static_cast<Order>((number + 3 * operand) % kOrders); }
  Order dense(int operand) const { return static_cast<Order>((number + operand) % kDenseOrders); }
};

template <class Run>
void for_each_case(const Run& run, int first = 0) {
  const std::string name = progress().where;
  int number = first;
  const auto one = [&](const Sizes& sizes, DType dtype, bool known = true) {
    progress().where = name + " case " + std::to_string(number);
    run(Case{sizes, dtype, dtype == DType::f64 ? DType::f64 : DType::f32, number++, known});
  };
  const DType dtypes[] = {DType::f32, DType::f64, DType::bf16, DType::f16};
  for (const Sizes& sizes : shapes()) {
    const bool small = element_count(sizes.data(), sizes.data() + sizes.size()) < 500;
    for (int i = 0; i < (small ? 4 : 1); ++i) one(sizes, dtypes[number % 4]);
  }
  one(large_shape(), DType::f32, false);
  one(large_shape(), DType::f32, false);
  progress().where = name;
}

// Sums of each sample, and of all, as arrays over the shape of an op.
inline Array sums_of_samples(const Case& c) { return Array(c.compute, c.sizes, Order::by_sample); }
inline Array sum_of_all(const Case& c) { return Array(c.compute, c.sizes, Order::one); }
// Of an operand, where it is wanted: summed where that was broadcast.
inline Array gradient_of(const Array& operand, Order dense) {
  return Array(operand.dtype, operand.sizes, operand.broadcast() ? operand.order : dense);
}

}  // namespace native
