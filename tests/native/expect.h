// Comparison of an output with the terms that it is the sum of: one each where it is elementwise.
#pragma once
#include <cmath>
#include <vector>

#include "array.h"
#include "check.h"
#include "number.h"

namespace native {

// The kernel and the formula may each be off by the bound, in another order of operations by twice that.
constexpr double kBounds = 4;

// Adds term(i, k) of every logical index to the element of `output` that it belongs to. `compute` is the type whose
// roundoff the terms' errors are in; a sum of 8 in a lane is widened to double, so that summing adds 8 at most.
template <class Term>
void expect(const Array& output, fastvae::DType compute, const char* what, const Term& term) {
  if (!output) return;
  const size_t size = static_cast<size_t>((output.outer_size - 1) * output.outer_stride + output.span);
  std::vector<Number> expected(size);
  std::vector<char> used(size, output.count() == 0 && output.broadcast());  // the sums of nothing are 0
  for (int64_t k = 0; k < output.outer_size; ++k)
    for (int64_t i = 0; i < output.count(); ++i) {
      const Number value = term(i, k);
      const size_t at = static_cast<size_t>(output.element(i, k));
      used[at] = 1;
      expected[at].error += value.error + 8 * std::fabs(value.value);
      expected[at].value += value.value;
    }
  double worst = 0, got_there = 0, expected_there = 0;
  for (size_t at = 0; at < expected.size(); ++at) {
    if (!used[at]) continue;
    const double got = output.get_at(static_cast<int64_t>(at)), difference = std::fabs(got - expected[at].value);
    const double allowed = kBounds * roundoff(compute) * expected[at].error + least_rounding(output.dtype) +
                           roundoff(output.dtype) * std::fabs(expected[at].value);
    const double ratio = difference <= 0 ? 0 : std::isnan(difference) ? INFINITY : difference / allowed;
    if (ratio <= worst) continue;
    worst = ratio, got_there = got, expected_there = expected[at].value;
  }
  check(worst <= 1, std::string(what) + ": got " + std::to_string(got_there) + ", expected " +
                        std::to_string(expected_there) + ", " + std::to_string(worst) + " times what rounding may do");
}

}  // namespace native
