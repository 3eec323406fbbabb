// The ops on mixtures of Gaussians: of the posteriors of a batch, and of the components of a prior.
#pragma once
#include <pybind11/pybind11.h>

#include <array>

#include "options.h"

namespace fastvae {

pybind11::tuple minibatch_log_densities(const Density& density, const MinibatchOptions& options);
pybind11::tuple minibatch_log_densities_backward(const Tensor& grad_log_qz, const Tensor& grad_log_qz_product,
                                                 const Density& density, const Tensor& sums,
                                                 const MinibatchOptions& options, const std::array<bool, 3>& wanted);
pybind11::tuple log_normal_mixture(const Density& density, const Tensor& log_weights, const ScaleForm& form);
pybind11::tuple log_normal_mixture_backward(const Tensor& grad_log_prob, const Density& density,
                                            const Tensor& log_weights, const Tensor& sums, const ScaleForm& form,
                                            const std::array<bool, 4>& wanted);

}  // namespace fastvae
