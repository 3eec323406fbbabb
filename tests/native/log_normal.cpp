// The log-density of a diagonal Gaussian, and of the standard one.
#include "scales.h"

namespace native {
namespace {

constexpr double kHalfLogTwoPi = 0.91893853320467274178;

struct Density {
  Array z, mu, scale;
  Formula log_prob;

  Density(const Form& form, const Case& c) {
    Random random(static_cast<uint64_t>(c.number) + 2000);
    z = Array(c.dtype, c.sizes, c.dense(0)).fill(random, -1.5, 1.5);
    const bool standard = c.number % 8 == 7;
    if (!standard) {
      mu = Array(c.dtype, c.sizes, c.order(1)).fill(random, -1, 1);
      scale = Array(c.dtype, c.sizes, c.order(2)).fill(random, form.scale.low, form.scale.high);
    }
    log_prob = [form, standard](int64_t, const Values& x) {
      const Dual sigma = standard ? Dual(1) : form.sigma(x[2]), distance = standard ? x[0] : (x[0] - x[1]) / sigma;
      return Dual(-0.5) * square(distance) - log(sigma) - Dual(kHalfLogTwoPi);
    };
  }

  std::vector<const Array*> all() const { return {&z, &mu, &scale}; }

  template <class Arguments>
  void put_into(Call<Arguments>& call, const Form& form) const {
    call.arguments.options = form.options;
    call.input(call.arguments.z, z).input(call.arguments.mu, mu).input(call.arguments.scale, scale);
  }
};

void forward(const Form& form, const Case& c) {
  const Density of(form, c);
  const double factor = c.number % 2 ? 0.25 : 1;
  Array elementwise, per_sample, total;
  if (c.number % 2) {
    per_sample = sums_of_samples(c), total = sum_of_all(c);
  } else {
    elementwise = Array(c.compute, c.sizes, c.dense(3));
  }
  Call<LogNormal> call(c.sizes, c.dtype == DType::f64);
  of.put_into(call, form);
  call.loss(call.arguments.log_prob, elementwise, per_sample, total, factor);
  call.run(unit().log_normal);
  if (!c.known) return;

  const Pointwise density(c.compute, of.all(), of.log_prob);
  density.expect_loss(elementwise, "log_prob");
  density.expect_loss(per_sample, "sums of samples");
  density.expect_loss(total, "total", factor);
}

void backward(const Form& form, const Case& c) {
  const Density of(form, c);
  const double factor = 0.5;
  Random random(97);
  const Array upstream = Array(c.compute, c.sizes, c.order(4)).fill(random, -1, 1);
  Array of_z = gradient_of(of.z, c.dense(1)), of_mu, of_scale;
  if (of.scale) of_mu = gradient_of(of.mu, c.dense(2)), of_scale = gradient_of(of.scale, c.dense(3));
  Call<LogNormalBackward> call(c.sizes, c.dtype == DType::f64);
  LogNormalBackward& a = call.arguments;
  of.put_into(call, form);
  call.input(a.grad_log_prob, upstream).gradient(a.grad_z, of_z).gradient(a.grad_mu, of_mu);
  call.gradient(a.grad_scale, of_scale);
  a.factor = factor;
  call.run(unit().log_normal_backward);
  if (!c.known) return;

  const Pointwise scaled(c.compute, of.all(), [&](int64_t i, const Values& x) {
    return of.log_prob(i, x) * Dual(factor * upstream.get(i));
  });
  scaled.expect_gradient(of_z, "gradient of z", 0);
  scaled.expect_gradient(of_mu, "gradient of mu", 1);
  scaled.expect_gradient(of_scale, "gradient of the scale", 2);
}

NATIVE_TEST(log_normal) { for_each_form_and_case(forward); }
NATIVE_TEST(log_normal_backward) { for_each_form_and_case(backward); }

}  // namespace
}  // namespace native
