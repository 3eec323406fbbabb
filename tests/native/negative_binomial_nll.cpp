// The negative binomial loss of counts, of the mean or its logarithm, zero-inflated or not.
#include "pointwise.h"

namespace native {
namespace {

constexpr double kEps =
    1e-8;  // scvi-tools': added to a mean, but not to an exponential, where a count's logarithm is taken

// -log p of count x under mean m and inverse dispersion t.
Dual plain(const Dual& x, const Dual& m, const Dual& t, double eps) {
  if (x.value.value == 0) return t * (log(t + m) - log(t));
  const Dual raised = m + Dual(eps), total = log(t + raised);
  return lgamma(t) + lgamma(x + Dual(1)) - lgamma(x + t) + t * (total - log(t)) + x * (total - log(raised));
}

Dual inflated(const Dual& x, const Dual& loss, const Dual& q) {
  if (x.value.value != 0) return loss + softplus(q);
  return softplus(q) - log(exp(q) + exp(-loss));
}

struct Counts {
  Array mean, target, dispersion, logits, weight;
  bool log_input;
  Formula loss;

  explicit Counts(const Case& c) : log_input(c.number % 3 == 2) {
    Random random(static_cast<uint64_t>(c.number) + 5000);
    const DType kinds[] = {c.dtype, DType::u8, DType::u16, DType::i16, DType::i32};
    mean = Array(c.dtype, c.sizes, c.dense(0));
    mean.fill(random, log_input ? -1 : 0.3, log_input ? 2.5 : 12);
    target = Array(kinds[c.number % 5], c.sizes, c.order(1));
    for (int64_t i = 0; i < target.count(); ++i)  // a quarter are 0
      target.set(i, 0, std::max(0.0, std::floor(random.between(-6, 20))));
    target.keep();
    // In a third of the cases all that is broadcast has one element a feature.
    const bool by_feature = c.number % 3 == 0;
    dispersion = Array(c.dtype, c.sizes, by_feature ? Order::by_feature : c.order(2)).fill(random, 0.5, 8);
    if (c.number % 2) logits = Array(c.dtype, c.sizes, by_feature ? Order::by_feature : c.order(3)).fill(random, -2, 2);
    if (c.number % 4 < 2) weight = Array(c.dtype, c.sizes, c.order(4)).fill(random, 0.5, 1.5);
    loss = [this](int64_t, const Values& x) {
      const Dual of_count = log_input ? plain(x[1], exp(x[0]), x[2], 0) : plain(x[1], x[0], x[2], kEps);
      const Dual value = logits ? inflated(x[1], of_count, x[3]) : of_count;
      return weight ? value * x[4] : value;
    };
  }
  Counts(const Counts&) = delete;

  std::vector<const Array*> all() const { return {&mean, &target, &dispersion, &logits, &weight}; }
};

struct Gradients {
  Array mean, dispersion, logits;

  Gradients(const Counts& of, const Case& c)
      : mean(gradient_of(of.mean, c.dense(1))), dispersion(gradient_of(of.dispersion, c.dense(2))) {
    if (of.logits) logits = gradient_of(of.logits, c.dense(3));
  }

  void put_into(Call<NegativeBinomialNll>& call, const Counts& of) {
    NegativeBinomialNll& a = call.arguments;
    call.input(a.mean, of.mean).input(a.target, of.target).input(a.weight, of.weight);
    call.input(a.dispersion, of.dispersion).input(a.logits, of.logits);
    call.gradient(a.grad_mean, mean).gradient(a.grad_dispersion, dispersion).gradient(a.grad_logits, logits);
    a.log_input = of.log_input;
    bool summed = false, by_feature = true;
    for (const Array* gradient : {&dispersion, &logits}) {
      if (!*gradient || !gradient->broadcast()) continue;
      summed = true;
      by_feature &= gradient->order == Order::by_feature;
    }
    a.by_feature = summed && by_feature;
  }

  void expect(const Counts& of, const Case& c, const std::function<double(int64_t)>& upstream) const {
    const Pointwise scaled(c.compute, of.all(),
                           [&](int64_t i, const Values& x) { return of.loss(i, x) * Dual(upstream(i)); });
    scaled.expect_gradient(mean, "gradient of the mean", 0);
    scaled.expect_gradient(dispersion, "gradient of the dispersion", 2);
    scaled.expect_gradient(logits, "gradient of the logits", 3);
  }
};

void elementwise(const Case& c) {
  const Counts of(c);
  Array loss(c.compute, c.sizes, c.dense(1)), none;
  Call<NegativeBinomialNll> call(c.sizes, c.dtype == DType::f64);
  NegativeBinomialNll& a = call.arguments;
  call.input(a.mean, of.mean).input(a.target, of.target).input(a.weight, of.weight);
  call.input(a.dispersion, of.dispersion).input(a.logits, of.logits).loss(a.loss, loss, none, none, 1);
  a.log_input = of.log_input;
  call.run(unit().negative_binomial_nll);
  if (!c.known) return;
  Pointwise(c.compute, of.all(), of.loss).expect_loss(loss, "loss");
}

void reduced(const Case& c) {
  const Counts of(c);
  const double factor = 0.25;
  Array none, per_sample = sums_of_samples(c), total = sum_of_all(c);
  Gradients gradients(of, c);
  Call<NegativeBinomialNll> call(c.sizes, c.dtype == DType::f64);
  gradients.put_into(call, of);
  call.loss(call.arguments.loss, none, per_sample, total, factor);
  call.arguments.factor = factor;
  call.run(unit().negative_binomial_nll);
  if (!c.known) return;
  const Pointwise loss(c.compute, of.all(), of.loss);
  loss.expect_loss(per_sample, "sums of samples");
  loss.expect_loss(total, "total", factor);
  gradients.expect(of, c, [=](int64_t) { return factor; });
}

void backward(const Case& c) {
  const Counts of(c);
  const double factor = 0.5;
  Random random(95);
  const Array upstream = Array(c.compute, c.sizes, c.order(5)).fill(random, -1, 1);
  Gradients gradients(of, c);
  Call<NegativeBinomialNll> call(c.sizes, c.dtype == DType::f64);
  gradients.put_into(call, of);
  call.input(call.arguments.upstream, upstream);
  call.arguments.factor = factor;
  call.run(unit().negative_binomial_nll);
  if (!c.known) return;
  gradients.expect(of, c, [&](int64_t i) { return factor * upstream.get(i); });
}

NATIVE_TEST(negative_binomial_nll) { for_each_case(elementwise); }
NATIVE_TEST(negative_binomial_nll_reduced) { for_each_case(reduced); }
NATIVE_TEST(negative_binomial_nll_backward) { for_each_case(backward); }

}  // namespace
}  // namespace native
