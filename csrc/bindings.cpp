// The extension module: each op takes the arguments that fastvae/_ops.py declares and returns its outputs, None where
// one is absent.
#include <pybind11/pybind11.h>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <optional>
#include <string_view>
#include <tuple>
#include <utility>

#include "call.h"
#include "discretized_logistic_mixture.h"
#include "flat.h"
#include "generator.h"
#include "mixture.h"
#include "negative_binomial_nll.h"
#include "options.h"
#include "outputs.h"
#include "variants.h"

namespace py = pybind11;

namespace fastvae {
namespace {

int likelihood_of(Name name) { return index_of("loss", kernels().likelihoods, name); }

py::list names_of(const char* const* variants) {
  py::list names;
  for (; *variants; ++variants) names.append(*variants);
  return names;
}

const int64_t* seed_of(const Tensor& seed) { return static_cast<const int64_t*>(seed.data); }

// Row b of `like` is row start + b of a batch of `total`, and has the noise of that one.
SeedStream stream_of(const Tensor& seed, const Tensor& like, const std::optional<std::array<int64_t, 2>>& shard) {
  const int64_t rows = like.rank > 0 ? like.sizes[0] : 1, row_size = like.count() / std::max<int64_t>(rows, 1);
  const auto [start, total] = shard.value_or(std::array<int64_t, 2>{0, rows});
  return {seed_of(seed), start * row_size, total * row_size};
}

py::tuple objects(std::initializer_list<const Output*> outputs) {
  py::tuple tuple(outputs.size());
  size_t at = 0;
  for (const Output* output : outputs) tuple[at++] = output->owner;
  return tuple;
}

// What the arguments of forward and backward have in common.
template <class Arguments>
void set(Call<Arguments>& call, const Tensor& mu, const Tensor& scale, const PriorAndNoise& given,
         const PosteriorOptions& options) {
  Arguments& a = call.arguments;
  call.operand(a.mu, mu).operand(a.scale, scale);
  call.operand(a.prior_mu, given.prior_mu).operand(a.prior_scale, given.prior_scale);
  call.samples(a.eps, given.eps, options.num_samples);
  a.stream = stream_of(given.seed, mu, options.shard);
  a.num_samples = options.num_samples.value_or(1);
  a.options = scale_options(options.form);
}

py::tuple reparameterize_kl(const Tensor& mu, const Tensor& scale, const PriorAndNoise& given,
                            const PosteriorOptions& options) {
  const auto& reduction = options.reduction;
  const Output z = given.noisy() ? sample_of(mu, options.num_samples) : Output();
  const Output kl = reduction ? loss_over(mu, *reduction, options.batch_dims) : Output();
  Call<ReparameterizeKl> call(mu, options.batch_dims);
  ReparameterizeKl& a = call.arguments;
  set(call, mu, scale, given, options);
  call.fresh(z).samples(a.z, z, options.num_samples);
  if (reduction) call.loss(a.kl, kl, {}, *reduction);
  a.kl_wanted = reduction.has_value();
  call.run(kernels().reparameterize_kl, a.stream.seed == nullptr);
  return objects({&z, &kl});
}

void backward(const Tensor& grad_z, const Tensor& grad_kl, const Tensor& mu, const Tensor& scale,
              const PriorAndNoise& given, const PosteriorOptions& options, const std::array<Tensor, 4>& gradients) {
  const auto& [grad_mu, grad_scale, grad_prior_mu, grad_prior_scale] = gradients;
  const auto& reduction = options.reduction;
  Call<ReparameterizeKlBackward> call(mu, options.batch_dims);
  ReparameterizeKlBackward& a = call.arguments;
  set(call, mu, scale, given, options);
  call.samples(a.grad_z, grad_z, options.num_samples).upstream(a.grad_kl, grad_kl);
  call.gradient(a.grad_mu, grad_mu).gradient(a.grad_scale, grad_scale);
  call.gradient(a.grad_prior_mu, grad_prior_mu).gradient(a.grad_prior_scale, grad_prior_scale);
  a.factor = reduction ? call.factor(*reduction) : 1;
  call.run(kernels().reparameterize_kl_backward, a.stream.seed == nullptr);
}

py::tuple reparameterize_kl_backward(const Tensor& grad_z, const Tensor& grad_kl, const Tensor& mu, const Tensor& scale,
                                     const PriorAndNoise& given, const PosteriorOptions& options,
                                     const std::array<bool, 4>& wanted) {
  const Output grad_mu = gradient_like(wanted[0], mu), grad_scale = gradient_like(wanted[1], scale);
  const Output grad_prior_mu = gradient_like(wanted[2], given.prior_mu);
  const Output grad_prior_scale = gradient_like(wanted[3], given.prior_scale);
  backward(grad_z, grad_kl, mu, scale, given, options, {grad_mu, grad_scale, grad_prior_mu, grad_prior_scale});
  return objects({&grad_mu, &grad_scale, &grad_prior_mu, &grad_prior_scale});
}

py::tuple reparameterize_kl_packed(const Tensor& moments, const PriorAndNoise& given, const Packing& packing,
                                   const PosteriorOptions& options) {
  const Unpacked halves(moments, packing.dim, packing.interleaved);
  return reparameterize_kl(halves.mu, halves.scale, given, options);
}

py::tuple reparameterize_kl_packed_backward(const Tensor& grad_z, const Tensor& grad_kl, const Tensor& moments,
                                            const PriorAndNoise& given, const Packing& packing,
                                            const PosteriorOptions& options, const std::array<bool, 3>& wanted) {
  const Output grad_moments = gradient_like(wanted[0], moments);
  const Output grad_prior_mu = gradient_like(wanted[1], given.prior_mu);
  const Output grad_prior_scale = gradient_like(wanted[2], given.prior_scale);
  const Unpacked halves(moments, packing.dim, packing.interleaved);
  const Unpacked grads(grad_moments, packing.dim, packing.interleaved);
  backward(grad_z, grad_kl, halves.mu, halves.scale, given, options,
           {grads.mu, grads.scale, grad_prior_mu, grad_prior_scale});
  return objects({&grad_moments, &grad_prior_mu, &grad_prior_scale});
}

// The gradient goes to `grad`, which may be the input, and that of log_scale to `grad_log_scale`.
void reconstruct(const Pair& pair, const ReconstructionOptions& options, const Tensor& loss, const Tensor& per_sample,
                 const Tensor& grad, const Tensor& grad_log_scale) {
  const auto& [input, target, weight, log_scale] = pair;
  Call<Reconstruction> call(input, options.batch_dims);
  Reconstruction& a = call.arguments;
  call.operand(a.input, input).operand(a.target, target).operand(a.weight, weight).operand(a.log_scale, log_scale);
  if (grad.data != input.data) call.fresh(grad);
  call.operand(a.grad, grad).gradient(a.grad_log_scale, grad_log_scale);
  call.loss(a.loss, loss, per_sample, options.reduction);
  a.likelihood = likelihood_of(options.loss);
  a.full = options.full;
  call.run(kernels().reconstruction, true);
}

Output loss_of(const Pair& pair, const ReconstructionOptions& options) {
  return loss_over(pair.input, options.reduction, options.batch_dims);
}

// The sums of each sample, beside a loss that is not they.
Output samples_of(const Pair& pair, const ReconstructionOptions& options, bool wanted) {
  const bool beside = wanted && options.reduction != "sample";
  return beside ? loss_over(pair.input, "sample", options.batch_dims) : Output();
}

py::tuple reconstruction(const Pair& pair, const ReconstructionOptions& options, bool per_sample,
                         const std::array<bool, 2>& grad) {
  const Output loss = loss_of(pair, options), samples = samples_of(pair, options, per_sample);
  const Output gradient = gradient_like(grad[0], pair.input);
  const Output grad_log_scale = gradient_like(grad[1], pair.log_scale);
  reconstruct(pair, options, loss, samples, gradient, grad_log_scale);
  return objects({&loss, &samples, &gradient, &grad_log_scale});
}

py::tuple reconstruction_inplace(const Pair& pair, const ReconstructionOptions& options, bool per_sample) {
  const Output loss = loss_of(pair, options), samples = samples_of(pair, options, per_sample);
  reconstruct(pair, options, loss, samples, pair.input, {});
  return objects({&loss, &samples});
}

py::tuple reconstruction_backward(const Tensor& grad_loss, const Pair& pair, const ReconstructionOptions& options,
                                  const std::array<bool, 3>& wanted) {
  const auto& [input, target, weight, log_scale] = pair;
  const Output grad_input = gradient_like(wanted[0], input), grad_target = gradient_like(wanted[1], target);
  const Output grad_log_scale = gradient_like(wanted[2], log_scale);
  Call<ReconstructionBackward> call(input, options.batch_dims);
  ReconstructionBackward& a = call.arguments;
  call.operand(a.input, input).operand(a.target, target).operand(a.weight, weight).operand(a.log_scale, log_scale);
  call.upstream(a.grad_loss, grad_loss).gradient(a.grad_input, grad_input).gradient(a.grad_target, grad_target);
  call.gradient(a.grad_log_scale, grad_log_scale);
  a.likelihood = likelihood_of(options.loss);
  a.factor = call.factor(options.reduction);
  call.run(kernels().reconstruction_backward, true);
  return objects({&grad_input, &grad_target, &grad_log_scale});
}

py::object log_normal(const Density& density, const DensityOptions& options) {
  const auto& [z, mu, scale] = density;
  const Output log_prob = loss_over(z, options.reduction, options.batch_dims);
  Call<LogNormal> call(z, options.batch_dims);
  LogNormal& a = call.arguments;
  call.operand(a.z, z).operand(a.mu, mu).operand(a.scale, scale).loss(a.log_prob, log_prob, {}, options.reduction);
  a.options = scale_options(options.form);
  call.run(kernels().log_normal, true);
  return log_prob.owner;
}

py::tuple log_normal_backward(const Tensor& grad_log_prob, const Density& density, const DensityOptions& options,
                              const std::array<bool, 3>& wanted) {
  const auto& [z, mu, scale] = density;
  const Output grad_z = gradient_like(wanted[0], z), grad_mu = gradient_like(wanted[1], mu);
  const Output grad_scale = gradient_like(wanted[2], scale);
  Call<LogNormalBackward> call(z, options.batch_dims);
  LogNormalBackward& a = call.arguments;
  call.operand(a.z, z).operand(a.mu, mu).operand(a.scale, scale).upstream(a.grad_log_prob, grad_log_prob);
  call.gradient(a.grad_z, grad_z).gradient(a.grad_mu, grad_mu).gradient(a.grad_scale, grad_scale);
  a.options = scale_options(options.form);
  a.factor = call.factor(options.reduction);
  call.run(kernels().log_normal_backward, true);
  return objects({&grad_z, &grad_mu, &grad_scale});
}

py::object importance_weighted_bound(const Tensor& log_w, int dim) {
  const Output bound = loss_without(log_w, dim);
  Call<ImportanceWeightedBound> call(bound, 0);
  call.looped(call.arguments.log_w, log_w, dim).operand(call.arguments.bound, bound);
  call.arguments.num_samples = log_w.sizes[dim];
  call.run(kernels().importance_weighted_bound, true);
  return bound.owner;
}

py::object importance_weighted_bound_backward(const Tensor& grad_bound, const Tensor& log_w, const Tensor& bound,
                                              int dim) {
  const Output grad_log_w = empty_like(log_w);
  Call<ImportanceWeightedBoundBackward> call(bound, 0);
  ImportanceWeightedBoundBackward& a = call.arguments;
  call.looped(a.log_w, log_w, dim).operand(a.grad_bound, grad_bound).operand(a.bound, bound);
  call.fresh(grad_log_w).looped(a.grad_log_w, grad_log_w, dim);
  a.num_samples = log_w.sizes[dim];
  call.run(kernels().importance_weighted_bound_backward, true);
  return grad_log_w.owner;
}

void scale_gradients(const Tensor& first, const Tensor& second, const Tensor& third, const Tensor& upstream) {
  for (const Tensor* grad : {&first, &second, &third}) {
    if (!grad->present()) continue;
    Call<ScaleGradient> call(*grad, 0);
    call.operand(call.arguments.grad, *grad).operand(call.arguments.upstream, upstream);
    call.run(kernels().scale_gradient, true);
  }
}

void normal(const Tensor& seed, int64_t start, const Tensor& out, int threads) {
  const Normal a = {seed_of(seed), start, out.count(), static_cast<float*>(out.data), usable_threads(threads)};
  run_without_gil(kernels().normal, a);
}

}  // namespace
}  // namespace fastvae

PYBIND11_MODULE(_C, m) {
  fastvae::usable_threads(1);  // registers its atfork handler before anything can fork
  m.doc() = "CPU kernels of fastvae, on PyTorch's tensors but not built against PyTorch.";
  m.def("reparameterize_kl", fastvae::flat(fastvae::reparameterize_kl));
  m.def("reparameterize_kl_backward", fastvae::flat(fastvae::reparameterize_kl_backward));
  m.def("reparameterize_kl_packed", fastvae::flat(fastvae::reparameterize_kl_packed));
  m.def("reparameterize_kl_packed_backward", fastvae::flat(fastvae::reparameterize_kl_packed_backward));
  m.def("reconstruction", fastvae::flat(fastvae::reconstruction));
  m.def("reconstruction_inplace", fastvae::flat(fastvae::reconstruction_inplace));
  m.def("reconstruction_backward", fastvae::flat(fastvae::reconstruction_backward));
  m.def("log_normal", fastvae::flat(fastvae::log_normal));
  m.def("log_normal_backward", fastvae::flat(fastvae::log_normal_backward));
  m.def("minibatch_log_densities", fastvae::flat(fastvae::minibatch_log_densities));
  m.def("minibatch_log_densities_backward", fastvae::flat(fastvae::minibatch_log_densities_backward));
  m.def("log_normal_mixture", fastvae::flat(fastvae::log_normal_mixture));
  m.def("log_normal_mixture_backward", fastvae::flat(fastvae::log_normal_mixture_backward));
  m.def("discretized_logistic_mixture_nll", fastvae::flat(fastvae::discretized_logistic_mixture_nll));
  m.def("discretized_logistic_mixture_nll_backward", fastvae::flat(fastvae::discretized_logistic_mixture_nll_backward));
  m.def("importance_weighted_bound", fastvae::flat(fastvae::importance_weighted_bound));
  m.def("importance_weighted_bound_backward", fastvae::flat(fastvae::importance_weighted_bound_backward));
  m.def("negative_binomial_nll", fastvae::flat(fastvae::negative_binomial_nll));
  m.def("negative_binomial_nll_backward", fastvae::flat(fastvae::negative_binomial_nll_backward));
  m.def("scale_gradients", fastvae::flat(fastvae::scale_gradients));
  m.def("normal", fastvae::normal);
  m.def("cuda_randint", fastvae::cuda_randint);
  m.def("fields", fastvae::fields_by_struct);
  m.def("alike", fastvae::alike);
  m.def("direct_call_device", fastvae::direct_call_device);
  m.def("layout_key", fastvae::layout_key);
  m.def("capability", [] { return fastvae::kernels().name; });
  m.def("likelihoods", [] { return fastvae::names_of(fastvae::kernels().likelihoods); });
  m.def("parameterizations", [] { return fastvae::names_of(fastvae::kernels().parameterizations); });
}
