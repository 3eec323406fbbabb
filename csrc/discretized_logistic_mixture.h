// The ops of the mixture of discretized logistics, as fastvae/_ops.py declares them.
#pragma once
#include <pybind11/pybind11.h>

#include "options.h"

namespace fastvae {

pybind11::tuple discretized_logistic_mixture_nll(const Tensor& params, const Tensor& target,
                                                 const DiscretizedMixtureOptions& options, bool per_sample, bool grad);

pybind11::object discretized_logistic_mixture_nll_backward(const Tensor& grad_loss, const Tensor& params,
                                                           const Tensor& target,
                                                           const DiscretizedMixtureOptions& options);

}  // namespace fastvae
