// The extension module: one line an op. No PyTorch headers: a tensor arrives as (address, dtype, strides, lead).
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <tuple>
#include <vector>

#include "arguments.h"
#include "layout.h"

namespace py = pybind11;

namespace fastvae {
namespace {

using Shape = std::vector<int64_t>;
// Address, dtype code, strides over the shape of the op, stride of the leading dimension a kernel loops over.
using Tensor = std::tuple<uintptr_t, int, Shape, int64_t>;
using Optional = std::optional<Tensor>;
// Parameterization code, low, high, min_std, min_var.
using Scale = std::tuple<int, double, double, double, double>;
// Elementwise loss, address of the per-sample sums, address of the total, factor of the total.
using Loss = std::tuple<Optional, uintptr_t, uintptr_t, double>;

ScaleOptions scale_options(const Scale& scale) {
  const auto& [form, low, high, min_std, min_var] = scale;
  return {static_cast<Form>(form), low, high, min_std, min_var};
}

// Collects a call's operands, then collapses them together and runs the kernel without the GIL.
template <class Arguments>
class Call {
 public:
  Arguments arguments;

  Call(const Shape& shape, int batch_dims, bool f64, int threads) : shape_(shape), batch_dims_(batch_dims) {
    arguments.f64 = f64;
    arguments.threads = threads;
  }

  Call& operand(View& view, const Optional& tensor) {
    if (!tensor) return *this;
    const auto& [address, dtype, strides, lead] = *tensor;
    view.data = reinterpret_cast<void*>(address);
    view.dtype = static_cast<DType>(dtype);
    view.lead = lead;
    operands_.push_back({&view, strides});
    return *this;
  }

  Call& loss(LossOutput& output, const Loss& loss) {
    const auto& [elementwise, per_sample, total, factor] = loss;
    operand(output.elementwise, elementwise);
    output.per_sample = reinterpret_cast<void*>(per_sample);
    output.total = reinterpret_cast<void*>(total);
    output.factor = factor;
    loss_ = output.per_sample || output.total ? &output : nullptr;
    return *this;
  }

  void run(void (*kernel)(const Arguments&), bool reorder) {
    arguments.space = collapse(shape_, batch_dims_, operands_, reorder);
    if (loss_) {
      partials_.resize(static_cast<size_t>(arguments.space.blocks()) + 1);
      loss_->partials = partials_.data();
    }
    py::gil_scoped_release release;
    kernel(arguments);
  }

 private:
  Shape shape_;
  int batch_dims_;
  std::vector<Operand> operands_;
  LossOutput* loss_ = nullptr;
  std::vector<double> partials_;
};

const int64_t* seed_at(uintptr_t address) { return reinterpret_cast<const int64_t*>(address); }

void reparameterize_kl(const Shape& shape, int batch_dims, bool f64, int threads, const Optional& mu,
                       const Optional& scale, const Optional& prior_mu, const Optional& prior_scale,
                       const Optional& eps, uintptr_t seed, int64_t num_samples, const Scale& options,
                       const Optional& z, const std::optional<Loss>& kl) {
  Call<ReparameterizeKl> call(shape, batch_dims, f64, threads);
  ReparameterizeKl& a = call.arguments;
  call.operand(a.mu, mu).operand(a.scale, scale).operand(a.prior_mu, prior_mu).operand(a.prior_scale, prior_scale);
  call.operand(a.eps, eps).operand(a.z, z);
  if (kl) call.loss(a.kl, *kl);
  a.kl_wanted = kl.has_value();
  a.seed = seed_at(seed);
  a.num_samples = num_samples;
  a.options = scale_options(options);
  call.run(kernels().reparameterize_kl, seed == 0);
}

void reparameterize_kl_backward(const Shape& shape, int batch_dims, bool f64, int threads, const Optional& grad_z,
                                const Optional& grad_kl, double factor, const Optional& mu, const Optional& scale,
                                const Optional& prior_mu, const Optional& prior_scale, const Optional& eps,
                                uintptr_t seed, int64_t num_samples, const Scale& options, const Optional& grad_mu,
                                const Optional& grad_scale, const Optional& grad_prior_mu,
                                const Optional& grad_prior_scale) {
  Call<ReparameterizeKlBackward> call(shape, batch_dims, f64, threads);
  ReparameterizeKlBackward& a = call.arguments;
  call.operand(a.mu, mu).operand(a.scale, scale).operand(a.prior_mu, prior_mu).operand(a.prior_scale, prior_scale);
  call.operand(a.eps, eps).operand(a.grad_z, grad_z).operand(a.grad_kl, grad_kl);
  call.operand(a.grad_mu, grad_mu).operand(a.grad_scale, grad_scale);
  call.operand(a.grad_prior_mu, grad_prior_mu).operand(a.grad_prior_scale, grad_prior_scale);
  a.factor = factor;
  a.seed = seed_at(seed);
  a.num_samples = num_samples;
  a.options = scale_options(options);
  call.run(kernels().reparameterize_kl_backward, seed == 0);
}

void reconstruction(const Shape& shape, int batch_dims, bool f64, int threads, int likelihood, const Optional& input,
                    const Optional& target, const Optional& weight, const Optional& log_scale, double constant,
                    const Loss& loss, const Optional& grad) {
  Call<Reconstruction> call(shape, batch_dims, f64, threads);
  Reconstruction& a = call.arguments;
  call.operand(a.input, input).operand(a.target, target).operand(a.weight, weight).operand(a.log_scale, log_scale);
  call.operand(a.grad, grad).loss(a.loss, loss);
  a.likelihood = static_cast<Likelihood>(likelihood);
  a.constant = constant;
  call.run(kernels().reconstruction, true);
}

void reconstruction_backward(const Shape& shape, int batch_dims, bool f64, int threads, int likelihood,
                             const Optional& grad_loss, double factor, const Optional& input, const Optional& target,
                             const Optional& weight, const Optional& log_scale, const Optional& grad_input,
                             const Optional& grad_target, const Optional& grad_log_scale) {
  Call<ReconstructionBackward> call(shape, batch_dims, f64, threads);
  ReconstructionBackward& a = call.arguments;
  call.operand(a.input, input).operand(a.target, target).operand(a.weight, weight).operand(a.log_scale, log_scale);
  call.operand(a.grad_loss, grad_loss).operand(a.grad_input, grad_input).operand(a.grad_target, grad_target);
  call.operand(a.grad_log_scale, grad_log_scale);
  a.likelihood = static_cast<Likelihood>(likelihood);
  a.factor = factor;
  call.run(kernels().reconstruction_backward, true);
}

void log_normal(const Shape& shape, int batch_dims, bool f64, int threads, const Optional& z, const Optional& mu,
                const Optional& scale, const Scale& options, const Loss& log_prob) {
  Call<LogNormal> call(shape, batch_dims, f64, threads);
  LogNormal& a = call.arguments;
  call.operand(a.z, z).operand(a.mu, mu).operand(a.scale, scale).loss(a.log_prob, log_prob);
  a.options = scale_options(options);
  call.run(kernels().log_normal, true);
}

void log_normal_backward(const Shape& shape, int batch_dims, bool f64, int threads, const Optional& grad_log_prob,
                         double factor, const Optional& z, const Optional& mu, const Optional& scale,
                         const Scale& options, const Optional& grad_z, const Optional& grad_mu,
                         const Optional& grad_scale) {
  Call<LogNormalBackward> call(shape, batch_dims, f64, threads);
  LogNormalBackward& a = call.arguments;
  call.operand(a.z, z).operand(a.mu, mu).operand(a.scale, scale).operand(a.grad_log_prob, grad_log_prob);
  call.operand(a.grad_z, grad_z).operand(a.grad_mu, grad_mu).operand(a.grad_scale, grad_scale);
  a.options = scale_options(options);
  a.factor = factor;
  call.run(kernels().log_normal_backward, true);
}

void importance_weighted_bound(const Shape& shape, bool f64, int threads, const Optional& log_w, int64_t num_samples,
                               const Optional& bound) {
  Call<ImportanceWeightedBound> call(shape, 0, f64, threads);
  call.operand(call.arguments.log_w, log_w).operand(call.arguments.bound, bound);
  call.arguments.num_samples = num_samples;
  call.run(kernels().importance_weighted_bound, true);
}

void importance_weighted_bound_backward(const Shape& shape, bool f64, int threads, const Optional& grad_bound,
                                        const Optional& log_w, const Optional& bound, int64_t num_samples,
                                        const Optional& grad_log_w) {
  Call<ImportanceWeightedBoundBackward> call(shape, 0, f64, threads);
  ImportanceWeightedBoundBackward& a = call.arguments;
  call.operand(a.log_w, log_w)
      .operand(a.grad_bound, grad_bound)
      .operand(a.bound, bound)
      .operand(a.grad_log_w, grad_log_w);
  a.num_samples = num_samples;
  call.run(kernels().importance_weighted_bound_backward, true);
}

void scale_gradient(const Shape& shape, bool f64, int threads, const Optional& grad, const Optional& upstream) {
  Call<ScaleGradient> call(shape, 0, f64, threads);
  call.operand(call.arguments.grad, grad).operand(call.arguments.upstream, upstream);
  call.run(kernels().scale_gradient, true);
}

void sum_to(const Shape& shape, bool f64, const Optional& full, const Optional& sums) {
  Call<SumTo> call(shape, 0, f64, 1);
  call.operand(call.arguments.full, full).operand(call.arguments.sums, sums);
  call.run(kernels().sum_to, false);
}

void normal(uintptr_t seed, int64_t start, int64_t count, uintptr_t out, int threads) {
  const Normal a = {seed_at(seed), start, count, reinterpret_cast<float*>(out), threads};
  py::gil_scoped_release release;
  kernels().normal(a);
}

}  // namespace
}  // namespace fastvae

PYBIND11_MODULE(_C, m) {
  m.doc() = "CPU kernels of fastvae. Arguments are addresses, sizes and strides; fastvae._cpu makes them from tensors.";
  m.def("reparameterize_kl", fastvae::reparameterize_kl);
  m.def("reparameterize_kl_backward", fastvae::reparameterize_kl_backward);
  m.def("reconstruction", fastvae::reconstruction);
  m.def("reconstruction_backward", fastvae::reconstruction_backward);
  m.def("log_normal", fastvae::log_normal);
  m.def("log_normal_backward", fastvae::log_normal_backward);
  m.def("importance_weighted_bound", fastvae::importance_weighted_bound);
  m.def("importance_weighted_bound_backward", fastvae::importance_weighted_bound_backward);
  m.def("scale_gradient", fastvae::scale_gradient);
  m.def("sum_to", fastvae::sum_to);
  m.def("normal", fastvae::normal);
  m.def("capability", [] { return fastvae::kernels().name; });
}
