// The importance-weighted bound over K samples, its gradient, and the scaling of gradients that a forward pass wrote.
#include "pointwise.h"

namespace native {
namespace {

constexpr int64_t kSamples[] = {1, 2, 7};

struct Weights {
  Array log_w;
  double log_samples;

  explicit Weights(const Case& c) {
    Random random(static_cast<uint64_t>(c.number) + 3000);
    const int64_t samples = kSamples[c.number % 3];
    log_w = Array(c.dtype, c.sizes, c.dense(0), samples).fill(random, -4, 4);
    log_samples = std::log(static_cast<double>(samples));
  }

  // The sum of the exponentials of element i, of which one is differentiated.
  Dual sum(int64_t i, int64_t by) const {
    Dual sum = 0;
    for (int64_t k = 0; k < log_w.outer_size; ++k)
      sum = sum + exp(Dual(Number(log_w.get(i, k)), Number(k == by ? 1 : 0)));
    return sum;
  }
};

void bound(const Case& c) {
  const Weights of(c);
  Array bound(c.compute, c.sizes, c.dense(1));
  Call<ImportanceWeightedBound> call(c.sizes, c.dtype == DType::f64);
  call.input(call.arguments.log_w, of.log_w).output(call.arguments.bound, bound);
  call.arguments.num_samples = of.log_w.outer_size;
  call.run(unit().importance_weighted_bound);
  if (!c.known) return;
  expect(bound, c.compute, "bound",
         [&](int64_t i, int64_t) { return log(of.sum(i, -1)).value - Number(of.log_samples); });
}

void backward(const Case& c) {
  const Weights of(c);
  Random random(96);
  Array bound(c.compute, c.sizes, c.dense(1));
  for (int64_t i = 0; i < bound.count(); ++i) bound.set(i, 0, std::log(of.sum(i, -1).value.value) - of.log_samples);
  bound.keep();
  const Array upstream = Array(c.compute, c.sizes, c.order(2)).fill(random, -1, 1);
  Array gradient(c.dtype, c.sizes, c.dense(3), of.log_w.outer_size);
  Call<ImportanceWeightedBoundBackward> call(c.sizes, c.dtype == DType::f64);
  ImportanceWeightedBoundBackward& a = call.arguments;
  call.input(a.log_w, of.log_w).input(a.bound, bound).input(a.grad_bound, upstream).output(a.grad_log_w, gradient);
  a.num_samples = of.log_w.outer_size;
  call.run(unit().importance_weighted_bound_backward);
  if (!c.known) return;
  expect(gradient, c.compute, "gradient",
         [&](int64_t i, int64_t k) { return Number(upstream.get(i)) * log(of.sum(i, k)).slope; });
}

NATIVE_TEST(importance_weighted_bound) { for_each_case(bound); }
NATIVE_TEST(importance_weighted_bound_backward) { for_each_case(backward); }

NATIVE_TEST(scale_gradient) {
  for_each_case([](const Case& c) {
    Random random(static_cast<uint64_t>(c.number) + 4000);
    Array gradient = Array(c.dtype, c.sizes, c.dense(0)).fill(random, -1, 1);
    const Array before = gradient, upstream = Array(c.compute, c.sizes, Order::one).fill(random, 0.5, 2);
    Call<ScaleGradient> call(c.sizes, c.dtype == DType::f64);
    call.output(call.arguments.grad, gradient).input(call.arguments.upstream, upstream);
    call.run(unit().scale_gradient);
    if (!c.known) return;
    expect(gradient, c.compute, "gradient",
           [&](int64_t i, int64_t) { return Number(before.get(i)) * Number(upstream.get(i)); });
  });
}

}  // namespace
}  // namespace native
