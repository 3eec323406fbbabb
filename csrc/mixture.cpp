#include "mixture.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <new>

#include "arguments.h"
#include "call.h"
#include "outputs.h"
#include "variants.h"

namespace py = pybind11;

namespace fastvae {

namespace {

Matrix matrix_of(const Tensor& tensor) {
  Matrix matrix;
  if (!tensor.present()) return matrix;
  matrix.data = tensor.data;
  matrix.dtype = tensor.dtype;
  Shape shape;
  shape.rank = tensor.rank;
  std::copy_n(tensor.sizes, tensor.rank, shape.sizes);
  Operand operand;
  operand.view = &matrix;
  std::copy_n(tensor.strides, tensor.rank, operand.strides);
  matrix.space = collapse(shape, 0, &operand, 1, false);
  return matrix;
}

Matrix gradient_in(const Tensor& gradient) {
  if (gradient.present()) advise_huge_pages(gradient.data, gradient.count() * gradient.item_size());
  return matrix_of(gradient);
}

void set(Mixture& a, const Density& density, const ScaleForm& form, const Tensor& log_weights, const Tensor& sums) {
  a.f64 = density.z.dtype == DType::f64;
  a.threads = usable_threads(torch_threads());
  a.points = density.z.sizes[0];
  a.components = density.mu.sizes[0];
  a.dims = density.z.sizes[1];
  a.z = matrix_of(density.z);
  a.mu = matrix_of(density.mu);
  a.scale = matrix_of(density.scale);
  a.options = scale_options(form);
  a.log_weights = matrix_of(log_weights);
  a.sums = sums.data;
}

// The weights of fastvae/_options.py: the logarithm of most, and how much more those of a row and of the next one are.
void set(Mixture& a, const MinibatchOptions& options, double& log_weight) {
  const auto size = static_cast<double>(options.dataset_size), batch = static_cast<double>(a.points);
  a.by_dimension = true;
  a.stratified = options.weighting == "mss";
  if (a.stratified) {
    a.log_own = std::log((batch - 1) / size);
    a.log_next = std::log((size - (batch - 1)) / size);
  }
  log_weight = a.stratified ? -std::log(batch - 1) : -std::log(size * std::max(batch, 1.0));
}

constexpr std::align_val_t kWorkspaceAlignment{64};

struct Delete {
  void operator()(void* memory) const { ::operator delete(memory, kWorkspaceAlignment); }
};

template <class Arguments>
void run(void (*kernel)(const Arguments&), int64_t (*workspace)(const Arguments&), Arguments& a) {
  const std::unique_ptr<void, Delete> memory(::operator new(static_cast<size_t>(workspace(a)), kWorkspaceAlignment));
  a.workspace = memory.get();
  run_without_gil(kernel, a);
}

}  // namespace

py::tuple minibatch_log_densities(const Density& density, const MinibatchOptions& options) {
  const Output log_qz = loss_over(density.z, "sample", 1), log_qz_product = loss_over(density.z, "sample", 1);
  const Output sums = columns_beside(density.z, density.z.sizes[1] + 2);
  MixtureForward a;
  set(a, density, options.form, {}, sums);
  set(a, options, a.log_weight);
  a.log_joint = log_qz.data;
  a.log_product = log_qz_product.data;
  run(kernels().mixture, kernels().mixture_workspace, a);
  return py::make_tuple(log_qz.owner, log_qz_product.owner, sums.owner);
}

py::tuple minibatch_log_densities_backward(const Tensor& grad_log_qz, const Tensor& grad_log_qz_product,
                                           const Density& density, const Tensor& sums, const MinibatchOptions& options,
                                           const std::array<bool, 3>& wanted) {
  const auto& [z, mu, scale] = density;
  const Output grad_z = gradient_like(wanted[0], z), grad_mu = gradient_like(wanted[1], mu);
  const Output grad_scale = gradient_like(wanted[2], scale);
  MixtureBackward a;
  double log_weight;
  set(a, density, options.form, {}, sums);
  set(a, options, log_weight);
  a.grad_joint = matrix_of(grad_log_qz);
  a.grad_product = matrix_of(grad_log_qz_product);
  a.grad_z = gradient_in(grad_z);
  a.grad_mu = gradient_in(grad_mu);
  a.grad_scale = gradient_in(grad_scale);
  run(kernels().mixture_backward, kernels().mixture_backward_workspace, a);
  return py::make_tuple(grad_z.owner, grad_mu.owner, grad_scale.owner);
}

py::tuple log_normal_mixture(const Density& density, const Tensor& log_weights, const ScaleForm& form) {
  const Output log_prob = loss_over(density.z, "sample", 1), sums = columns_beside(density.z, 2);
  MixtureForward a;
  set(a, density, form, log_weights, sums);
  a.log_joint = log_prob.data;
  run(kernels().mixture, kernels().mixture_workspace, a);
  return py::make_tuple(log_prob.owner, sums.owner);
}

py::tuple log_normal_mixture_backward(const Tensor& grad_log_prob, const Density& density, const Tensor& log_weights,
                                      const Tensor& sums, const ScaleForm& form, const std::array<bool, 4>& wanted) {
  const auto& [z, mu, scale] = density;
  const Output grad_z = gradient_like(wanted[0], z), grad_mu = gradient_like(wanted[1], mu);
  const Output grad_scale = gradient_like(wanted[2], scale);
  const Output grad_log_weights = gradient_like(wanted[3], log_weights);
  MixtureBackward a;
  set(a, density, form, log_weights, sums);
  a.grad_joint = matrix_of(grad_log_prob);
  a.grad_z = gradient_in(grad_z);
  a.grad_mu = gradient_in(grad_mu);
  a.grad_scale = gradient_in(grad_scale);
  a.grad_log_weights = matrix_of(grad_log_weights);
  run(kernels().mixture_backward, kernels().mixture_backward_workspace, a);
  return py::make_tuple(grad_z.owner, grad_mu.owner, grad_scale.owner, grad_log_weights.owner);
}

}  // namespace fastvae
