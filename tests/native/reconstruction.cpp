// Reconstruction losses: forward with its gradient, elementwise and reduced, and backward.
#include <cstring>

#include "pointwise.h"

namespace native {
namespace {

constexpr double kHalfLogTwoPi = 0.91893853320467274178;

struct Loss {
  const char* name;
  double low, high;  // of the input
  bool counts;       // is the target one? Else it is in [0, 1]
  bool scaled;       // is there a log_scale?
  Dual (*loss)(const Dual& x, const Dual& t, const Dual& s);
  Dual (*normalizer)(const Dual& t);
};

Dual none(const Dual&) { return 0; }
Dual log_factorial(const Dual& t) { return lgamma(t + Dual(1)); }

const Loss kLosses[] = {
    {"binary_cross_entropy_with_logits", -5, 5, false, false,
     [](const Dual& x, const Dual& t, const Dual&) { return softplus(x) - x * t; }, none},
    {"binary_cross_entropy", 0.05, 0.95, false, false,
     [](const Dual& p, const Dual& t, const Dual&) { return -(t * log(p) + (Dual(1) - t) * log(Dual(1) - p)); }, none},
    {"mse_loss", -2, 2, false, false, [](const Dual& x, const Dual& t, const Dual&) { return square(x - t); }, none},
    {"l1_loss", -2, 2, false, false, [](const Dual& x, const Dual& t, const Dual&) { return magnitude(x - t); }, none},
    {"gaussian_nll", -2, 2, false, true,
     [](const Dual& x, const Dual& t, const Dual& s) { return Dual(0.5) * square((x - t) / exp(s)) + s; },
     [](const Dual&) { return Dual(kHalfLogTwoPi); }},
    {"poisson_nll", -2, 2, true, false, [](const Dual& x, const Dual& t, const Dual&) { return exp(x) - t * x; },
     log_factorial},
    {"poisson_nll_of_rate", 0.1, 5, true, false,
     [](const Dual& x, const Dual& t, const Dual&) { return x - t * log(x + Dual(1e-8)); }, log_factorial},
};

int index_of(const char* name) {
  int index = 0;
  while (unit().likelihoods[index] && std::strcmp(unit().likelihoods[index], name) != 0) ++index;
  CHECK(unit().likelihoods[index]);
  return index;
}

// The operands of one case. The target is of a dtype of its own now and then: bytes, of pixels or counts, or booleans.
struct Operands {
  Array input, target, weight, log_scale;
  Formula loss;  // weighted

  Operands(const Loss& of, const Case& c, bool full) {
    Random random(static_cast<uint64_t>(c.number) + 1);
    const DType own[] = {c.dtype, DType::u8, DType::boolean};
    const DType target_dtype = own[c.number % 3 == 2 && of.counts ? 1 : c.number % 3];
    const bool pixels = target_dtype == DType::u8 && !of.counts;
    const bool integers = target_dtype != c.dtype || of.counts;
    input = Array(c.dtype, c.sizes, c.dense(0)).fill(random, of.low, of.high);
    target = Array(target_dtype, c.sizes, c.order(1));
    target.fill(random, 0, pixels ? 256 : of.counts ? 9 : target_dtype == DType::boolean ? 2 : 1, integers);
    if (c.number % 2) weight = Array(c.dtype, c.sizes, c.order(2)).fill(random, 0.5, 1.5);
    if (of.scaled) log_scale = Array(c.dtype, c.sizes, c.order(3)).fill(random, -0.5, 0.5);
    loss = [&of, full, pixels, weighted = bool(weight)](int64_t, const Values& x) {
      const Dual t = pixels ? x[1] / Dual(255) : x[1], value = of.loss(x[0], t, x[3]);
      const Dual all = full ? value + of.normalizer(t) : value;
      return weighted ? all * x[2] : all;
    };
  }

  std::vector<const Array*> all() const { return {&input, &target, &weight, &log_scale}; }

  template <class Arguments>
  void put_into(Call<Arguments>& call, const Loss& of) const {
    Arguments& a = call.arguments;
    a.likelihood = index_of(of.name);
    call.input(a.input, input).input(a.target, target).input(a.weight, weight).input(a.log_scale, log_scale);
  }
};

// Elementwise in one case, reduced in the next: then with the gradients, as the product asks for them.
void forward(const Loss& of, const Case& c) {
  const bool reduced = c.number % 2, full = c.number % 3 == 0;
  const double factor = reduced ? 0.25 : 1;
  const Operands operands(of, c, full);
  Array elementwise, per_sample, total, gradient, scale_gradient;
  if (reduced) {
    per_sample = sums_of_samples(c), total = sum_of_all(c);
    gradient = gradient_of(operands.input, c.dense(1));
    if (of.scaled) scale_gradient = gradient_of(operands.log_scale, c.dense(2));
  } else {
    elementwise = Array(c.compute, c.sizes, c.dense(3));
  }
  Call<Reconstruction> call(c.sizes, c.dtype == DType::f64);
  operands.put_into(call, of);
  call.arguments.full = full;
  call.output(call.arguments.grad, gradient).gradient(call.arguments.grad_log_scale, scale_gradient);
  call.loss(call.arguments.loss, elementwise, per_sample, total, factor);
  call.run(unit().reconstruction);
  if (!c.known) return;

  const Pointwise loss(c.compute, operands.all(), operands.loss);
  loss.expect_loss(elementwise, "loss");
  loss.expect_loss(per_sample, "sums of samples");
  loss.expect_loss(total, "total", factor);
  const Pointwise scaled(c.compute, operands.all(),
                         [&](int64_t i, const Values& x) { return operands.loss(i, x) * Dual(factor); });
  scaled.expect_gradient(gradient, "gradient", 0);
  scaled.expect_gradient(scale_gradient, "gradient of log_scale", 3);
}

void backward(const Loss& of, const Case& c) {
  const double factor = 0.5;
  const Operands operands(of, c, false);
  Random random(99);
  const Array upstream = Array(c.dtype, c.sizes, c.order(4)).fill(random, -1, 1);
  Array of_input = gradient_of(operands.input, c.dense(1)), of_target, of_scale;
  if (!of.counts && operands.target.dtype == c.dtype) of_target = gradient_of(operands.target, c.dense(2));
  if (of.scaled) of_scale = gradient_of(operands.log_scale, c.dense(3));
  Call<ReconstructionBackward> call(c.sizes, c.dtype == DType::f64);
  ReconstructionBackward& a = call.arguments;
  operands.put_into(call, of);
  call.input(a.grad_loss, upstream).gradient(a.grad_input, of_input);
  call.gradient(a.grad_target, of_target).gradient(a.grad_log_scale, of_scale);
  a.factor = factor;
  call.run(unit().reconstruction_backward);
  if (!c.known) return;

  const Pointwise scaled(c.compute, operands.all(), [&](int64_t i, const Values& x) {
    return operands.loss(i, x) * Dual(factor * upstream.get(i));
  });
  scaled.expect_gradient(of_input, "gradient of the input", 0);
  scaled.expect_gradient(of_target, "gradient of the target", 1);
  scaled.expect_gradient(of_scale, "gradient of log_scale", 3);
}

NATIVE_TEST(reconstruction) {
  int first = 0;
  for (const Loss& of : kLosses) for_each_case([&](const Case& c) { forward(of, c); }, first++);
}

NATIVE_TEST(reconstruction_backward) {
  int first = 0;
  for (const Loss& of : kLosses) for_each_case([&](const Case& c) { backward(of, c); }, first++);
}

// Every likelihood of the table has its formula here.
NATIVE_TEST(likelihoods) {
  size_t count = 0;
  while (unit().likelihoods[count]) ++count;
  CHECK(count == sizeof(kLosses) / sizeof(kLosses[0]));
}

}  // namespace
}  // namespace native
