// The reparameterized sample and its KL: with noise that is given or of a seed, one sample or several, with a prior or
// none.
#include "scales.h"

namespace native {
namespace {

Dual divergence(const Form& form, const Values& x, bool prior) {
  const Dual sigma = form.sigma(x[1]), mu_p = prior ? x[2] : Dual(0), sigma_p = prior ? form.sigma(x[3]) : Dual(1);
  const Dual ratio = square(sigma / sigma_p), distance = square((x[0] - mu_p) / sigma_p);
  return Dual(0.5) * (distance + ratio - Dual(1) - log(ratio));
}

struct Posterior {
  Array mu, scale, prior_mu, prior_scale, eps;
  int64_t seed, first, stride, num_samples;
  bool drawn;  // is the noise that of the seed?

  Posterior(const Form& form, const Case& c)
      : seed(c.number * 1000003 - 7), first(c.number % 11), num_samples(c.number % 3 + 1), drawn(c.number % 2) {
    Random random(static_cast<uint64_t>(c.number) + 1000);
    const double low = form.scale.low, high = form.scale.high;
    mu = Array(c.dtype, c.sizes, c.dense(0)).fill(random, -1, 1);
    scale = Array(c.dtype, c.sizes, c.dense(1)).fill(random, low, high);
    if (c.number % 4 < 2) {
      prior_mu = Array(c.dtype, c.sizes, c.order(2)).fill(random, -1, 1);
      prior_scale = Array(c.dtype, c.sizes, c.order(3)).fill(random, low, high);
    }
    stride = mu.count() + 5;
    eps = Array(drawn ? DType::f32 : c.dtype, c.sizes, drawn ? Order::contiguous : c.dense(2), num_samples);
    eps.fill(random, -2, 2);
    if (drawn) draw();
  }

  std::vector<const Array*> all() const { return {&mu, &scale, &prior_mu, &prior_scale}; }

  template <class Arguments>
  void put_into(Call<Arguments>& call, const Form& form) const {
    Arguments& a = call.arguments;
    a.options = form.options;
    a.num_samples = num_samples;
    if (drawn) {
      a.stream = {&seed, first, stride};
    } else {
      call.input(a.eps, eps);
    }
    call.input(a.mu, mu).input(a.scale, scale).input(a.prior_mu, prior_mu).input(a.prior_scale, prior_scale);
  }

 private:
  void draw() {
    for (int64_t k = 0; k < num_samples; ++k) {
      std::vector<float> normals(static_cast<size_t>(mu.count()) + 1);
      Normal arguments;
      arguments.seed = &seed;
      arguments.start = first + k * stride;
      arguments.count = mu.count();
      arguments.out = normals.data();
      unit().normal(arguments);
      for (int64_t i = 0; i < mu.count(); ++i) eps.set(i, k, static_cast<double>(normals[static_cast<size_t>(i)]));
    }
  }
};

void forward(const Form& form, const Case& c) {
  const Posterior q(form, c);
  const bool prior(q.prior_mu), reduced = c.number % 3 == 1, kl_wanted = c.number % 7 != 6, noisy = c.number % 6 != 5;
  const double factor = reduced ? 0.125 : 1;
  Array z, kl, per_sample, total;
  if (noisy) z = Array(c.dtype, c.sizes, c.dense(3), q.num_samples);
  if (reduced) {
    per_sample = sums_of_samples(c), total = sum_of_all(c);
  } else {
    kl = Array(c.compute, c.sizes, c.dense(1));
  }
  Call<ReparameterizeKl> call(c.sizes, c.dtype == DType::f64);
  q.put_into(call, form);
  call.output(call.arguments.z, z);
  call.arguments.kl_wanted = kl_wanted;
  if (kl_wanted) call.loss(call.arguments.kl, kl, per_sample, total, factor);
  call.run(unit().reparameterize_kl, false);
  if (!c.known) return;

  expect(z, c.compute, "z", [&](int64_t i, int64_t k) {
    const Dual sigma = form.sigma(Dual(q.scale.get(i)));
    return Number(q.mu.get(i)) + sigma.value * Number(q.eps.get(i, k));
  });
  if (!kl_wanted) return;
  const Pointwise divergences(c.compute, q.all(), [&](int64_t, const Values& x) { return divergence(form, x, prior); });
  divergences.expect_loss(kl, "kl");
  divergences.expect_loss(per_sample, "sums of samples");
  divergences.expect_loss(total, "total", factor);
}

void backward(const Form& form, const Case& c) {
  const Posterior q(form, c);
  const bool prior(q.prior_mu), noisy = c.number % 6 != 5, kl_wanted = c.number % 7 != 6 || !noisy;
  const double factor = 0.5;
  Random random(98);
  Array of_z, of_kl;
  if (noisy) of_z = Array(c.dtype, c.sizes, c.dense(2), q.num_samples).fill(random, -1, 1);
  if (kl_wanted) of_kl = Array(c.compute, c.sizes, c.order(5)).fill(random, -1, 1);
  Array of_mu = gradient_of(q.mu, c.dense(3)), of_scale = gradient_of(q.scale, c.dense(0)), of_prior_mu, of_prior_scale;
  if (prior && kl_wanted) {
    of_prior_mu = gradient_of(q.prior_mu, c.dense(1));
    of_prior_scale = gradient_of(q.prior_scale, c.dense(2));
  }
  Call<ReparameterizeKlBackward> call(c.sizes, c.dtype == DType::f64);
  ReparameterizeKlBackward& a = call.arguments;
  q.put_into(call, form);
  call.input(a.grad_z, of_z).input(a.grad_kl, of_kl).gradient(a.grad_mu, of_mu).gradient(a.grad_scale, of_scale);
  call.gradient(a.grad_prior_mu, of_prior_mu).gradient(a.grad_prior_scale, of_prior_scale);
  a.factor = factor;
  call.run(unit().reparameterize_kl_backward, false);
  if (!c.known) return;

  const Pointwise objective(c.compute, q.all(), [&](int64_t i, const Values& x) {
    Dual sum = kl_wanted ? divergence(form, x, prior) * Dual(factor * of_kl.get(i)) : Dual(0);
    for (int64_t k = 0; noisy && k < q.num_samples; ++k)
      sum = sum + (x[0] + form.sigma(x[1]) * Dual(q.eps.get(i, k))) * Dual(of_z.get(i, k));
    return sum;
  });
  objective.expect_gradient(of_mu, "gradient of mu", 0);
  objective.expect_gradient(of_scale, "gradient of the scale", 1);
  objective.expect_gradient(of_prior_mu, "gradient of the prior's mu", 2);
  objective.expect_gradient(of_prior_scale, "gradient of the prior's scale", 3);
}

NATIVE_TEST(reparameterize_kl) { for_each_form_and_case(forward); }
NATIVE_TEST(reparameterize_kl_backward) { for_each_form_and_case(backward); }

// Every form of the table has its formula here.
NATIVE_TEST(parameterizations) {
  size_t count = 0;
  while (unit().parameterizations[count]) ++count;
  CHECK(count == scales().size());
}

}  // namespace
}  // namespace native
