// The extension module: one line an op. A call takes the arguments of the op's schema, those that a family of ops
// shares as one tuple, then its outputs (None is not wanted), then the number of threads.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "call.h"

namespace py = pybind11;

namespace fastvae {
namespace {

using Name = std::string_view;
template <class Value, size_t Size>
Value named(const char* argument, const std::pair<Name, Value> (&table)[Size], Name name) {
  for (const auto& [key, value] : table)
    if (key == name) return value;
  throw std::invalid_argument(std::string(argument) + ": got '" + std::string(name) + "'");
}

constexpr std::pair<Name, Form> kForms[] = {{"logvar", Form::logvar},
                                            {"log_std", Form::log_std},
                                            {"std", Form::std},
                                            {"softplus", Form::softplus},
                                            {"variance", Form::variance}};

constexpr std::pair<Name, Likelihood> kLikelihoods[] = {
    {"binary_cross_entropy_with_logits", Likelihood::binary_cross_entropy_with_logits},
    {"binary_cross_entropy", Likelihood::binary_cross_entropy},
    {"mse_loss", Likelihood::mse_loss},
    {"l1_loss", Likelihood::l1_loss},
    {"gaussian_nll", Likelihood::gaussian_nll}};

const int64_t* seed_of(const Tensor& seed) { return static_cast<const int64_t*>(seed.data); }

template <size_t Size>
using Tensors = std::array<Tensor, Size>;

// What follows mu and scale in the schemas: prior_mu, prior_scale, eps, seed, num_samples, parameterization, low, high,
// min_std, min_var, reduction, batch_dims.
using Posterior = std::tuple<Tensor, Tensor, Tensor, Tensor, std::optional<int64_t>, Name, double, double, double,
                             double, std::optional<Name>, int>;

void reparameterize_kl(const Tensor& mu, const Tensor& scale, const Posterior& posterior, const Tensors<2>& outputs,
                       int threads) {
  const auto& [z, kl] = outputs;
  const auto& [prior_mu, prior_scale, eps, seed, num_samples, form, low, high, min_std, min_var, reduction,
               batch_dims] = posterior;
  Call<ReparameterizeKl> call(mu, batch_dims, threads);
  ReparameterizeKl& a = call.arguments;
  call.operand(a.mu, mu).operand(a.scale, scale).operand(a.prior_mu, prior_mu).operand(a.prior_scale, prior_scale);
  call.samples(a.eps, eps, num_samples).fresh(z).samples(a.z, z, num_samples);
  if (reduction) call.loss(a.kl, kl, {}, *reduction);
  a.kl_wanted = reduction.has_value();
  a.seed = seed_of(seed);
  a.num_samples = num_samples.value_or(1);
  a.options = {named("parameterization", kForms, form), low, high, min_std, min_var};
  call.run(kernels().reparameterize_kl, a.seed == nullptr);
}

void reparameterize_kl_backward(const Tensor& grad_z, const Tensor& grad_kl, const Tensor& mu, const Tensor& scale,
                                const Posterior& posterior, const Tensors<4>& gradients, int threads) {
  const auto& [grad_mu, grad_scale, grad_prior_mu, grad_prior_scale] = gradients;
  const auto& [prior_mu, prior_scale, eps, seed, num_samples, form, low, high, min_std, min_var, reduction,
               batch_dims] = posterior;
  Call<ReparameterizeKlBackward> call(mu, batch_dims, threads);
  ReparameterizeKlBackward& a = call.arguments;
  call.operand(a.mu, mu).operand(a.scale, scale).operand(a.prior_mu, prior_mu).operand(a.prior_scale, prior_scale);
  call.samples(a.eps, eps, num_samples).samples(a.grad_z, grad_z, num_samples).upstream(a.grad_kl, grad_kl);
  call.gradient(a.grad_mu, grad_mu).gradient(a.grad_scale, grad_scale);
  call.gradient(a.grad_prior_mu, grad_prior_mu).gradient(a.grad_prior_scale, grad_prior_scale);
  a.factor = reduction ? call.factor(*reduction) : 1;
  a.seed = seed_of(seed);
  a.num_samples = num_samples.value_or(1);
  a.options = {named("parameterization", kForms, form), low, high, min_std, min_var};
  call.run(kernels().reparameterize_kl_backward, a.seed == nullptr);
}

void reparameterize_kl_packed(const Tensor& moments, int dim, bool interleaved, const Posterior& posterior,
                              const Tensors<2>& outputs, int threads) {
  const Unpacked halves(moments, dim, interleaved);
  reparameterize_kl(halves.mu, halves.scale, posterior, outputs, threads);
}

void reparameterize_kl_packed_backward(const Tensor& grad_z, const Tensor& grad_kl, const Tensor& moments, int dim,
                                       bool interleaved, const Posterior& posterior, const Tensors<3>& gradients,
                                       int threads) {
  const auto& [grad_moments, grad_prior_mu, grad_prior_scale] = gradients;
  const Unpacked halves(moments, dim, interleaved), grads(grad_moments, dim, interleaved);
  reparameterize_kl_backward(grad_z, grad_kl, halves.mu, halves.scale, posterior,
                             {grads.mu, grads.scale, grad_prior_mu, grad_prior_scale}, threads);
}

// input, target, weight, log_scale, full, reduction, batch_dims.
using Pair = std::tuple<Tensor, Tensor, Tensor, Tensor, bool, Name, int>;

void reconstruction(Name name, const Pair& pair, const Tensors<3>& outputs, int threads) {
  const auto& [loss, per_sample, grad] = outputs;
  const auto& [input, target, weight, log_scale, full, reduction, batch_dims] = pair;
  Call<Reconstruction> call(input, batch_dims, threads);
  Reconstruction& a = call.arguments;
  call.operand(a.input, input).operand(a.target, target).operand(a.weight, weight).operand(a.log_scale, log_scale);
  if (grad.data != input.data) call.fresh(grad);
  call.operand(a.grad, grad).loss(a.loss, loss, per_sample, reduction);
  a.likelihood = named("name", kLikelihoods, name);
  a.full = full;
  call.run(kernels().reconstruction, true);
}

void reconstruction_backward(Name name, const Tensor& grad_loss, const Pair& pair, const Tensors<3>& gradients,
                             int threads) {
  const auto& [grad_input, grad_target, grad_log_scale] = gradients;
  const auto& [input, target, weight, log_scale, full, reduction, batch_dims] = pair;
  Call<ReconstructionBackward> call(input, batch_dims, threads);
  ReconstructionBackward& a = call.arguments;
  call.operand(a.input, input).operand(a.target, target).operand(a.weight, weight).operand(a.log_scale, log_scale);
  call.upstream(a.grad_loss, grad_loss).gradient(a.grad_input, grad_input).gradient(a.grad_target, grad_target);
  call.gradient(a.grad_log_scale, grad_log_scale);
  a.likelihood = named("name", kLikelihoods, name);
  a.factor = call.factor(reduction);
  call.run(kernels().reconstruction_backward, true);
}

// z, mu, scale, parameterization, low, high, min_std, min_var, reduction, batch_dims.
using Density = std::tuple<Tensor, Tensor, Tensor, Name, double, double, double, double, Name, int>;

void log_normal(const Density& density, const Tensor& log_prob, int threads) {
  const auto& [z, mu, scale, form, low, high, min_std, min_var, reduction, batch_dims] = density;
  Call<LogNormal> call(z, batch_dims, threads);
  LogNormal& a = call.arguments;
  call.operand(a.z, z).operand(a.mu, mu).operand(a.scale, scale).loss(a.log_prob, log_prob, {}, reduction);
  a.options = {named("parameterization", kForms, form), low, high, min_std, min_var};
  call.run(kernels().log_normal, true);
}

void log_normal_backward(const Tensor& grad_log_prob, const Density& density, const Tensors<3>& gradients,
                         int threads) {
  const auto& [grad_z, grad_mu, grad_scale] = gradients;
  const auto& [z, mu, scale, form, low, high, min_std, min_var, reduction, batch_dims] = density;
  Call<LogNormalBackward> call(z, batch_dims, threads);
  LogNormalBackward& a = call.arguments;
  call.operand(a.z, z).operand(a.mu, mu).operand(a.scale, scale).upstream(a.grad_log_prob, grad_log_prob);
  call.gradient(a.grad_z, grad_z).gradient(a.grad_mu, grad_mu).gradient(a.grad_scale, grad_scale);
  a.options = {named("parameterization", kForms, form), low, high, min_std, min_var};
  a.factor = call.factor(reduction);
  call.run(kernels().log_normal_backward, true);
}

void importance_weighted_bound(const Tensor& log_w, int dim, const Tensor& bound, int threads) {
  Call<ImportanceWeightedBound> call(bound, 0, threads);
  call.looped(call.arguments.log_w, log_w, dim).operand(call.arguments.bound, bound);
  call.arguments.num_samples = log_w.sizes[dim];
  call.run(kernels().importance_weighted_bound, true);
}

void importance_weighted_bound_backward(const Tensor& grad_bound, const Tensor& log_w, const Tensor& bound, int dim,
                                        const Tensor& grad_log_w, int threads) {
  Call<ImportanceWeightedBoundBackward> call(bound, 0, threads);
  ImportanceWeightedBoundBackward& a = call.arguments;
  call.looped(a.log_w, log_w, dim).operand(a.grad_bound, grad_bound).operand(a.bound, bound);
  call.fresh(grad_log_w).looped(a.grad_log_w, grad_log_w, dim);
  a.num_samples = log_w.sizes[dim];
  call.run(kernels().importance_weighted_bound_backward, true);
}

void scale_gradient(const Tensor& grad, const Tensor& upstream, int threads) {
  Call<ScaleGradient> call(grad, 0, threads);
  call.operand(call.arguments.grad, grad).operand(call.arguments.upstream, upstream);
  call.run(kernels().scale_gradient, true);
}

void normal(const Tensor& seed, int64_t start, const Tensor& out, int threads) {
  const Normal a = {seed_of(seed), start, out.count(), static_cast<float*>(out.data), usable_threads(threads)};
  py::gil_scoped_release release;
  kernels().normal(a);
}

}  // namespace
}  // namespace fastvae

PYBIND11_MODULE(_C, m) {
  fastvae::usable_threads(1);  // from here on it knows of forks
  m.doc() = "CPU kernels of fastvae, on PyTorch's tensors but not built against PyTorch.";
  m.def("reparameterize_kl", fastvae::reparameterize_kl);
  m.def("reparameterize_kl_backward", fastvae::reparameterize_kl_backward);
  m.def("reparameterize_kl_packed", fastvae::reparameterize_kl_packed);
  m.def("reparameterize_kl_packed_backward", fastvae::reparameterize_kl_packed_backward);
  m.def("reconstruction", fastvae::reconstruction);
  m.def("reconstruction_backward", fastvae::reconstruction_backward);
  m.def("log_normal", fastvae::log_normal);
  m.def("log_normal_backward", fastvae::log_normal_backward);
  m.def("importance_weighted_bound", fastvae::importance_weighted_bound);
  m.def("importance_weighted_bound_backward", fastvae::importance_weighted_bound_backward);
  m.def("scale_gradient", fastvae::scale_gradient);
  m.def("normal", fastvae::normal);
  m.def("plain_device", fastvae::plain_device);
  m.def("capability", [] { return fastvae::kernels().name; });
}
