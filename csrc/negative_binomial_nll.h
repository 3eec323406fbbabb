// The ops of the negative binomial likelihood.
#pragma once
#include <pybind11/pybind11.h>

#include <array>

#include "options.h"

namespace fastvae {

pybind11::tuple negative_binomial_nll(const CountPair& pair, const NegativeBinomialOptions& options, bool per_sample,
                                      const std::array<bool, 3>& grad);

pybind11::tuple negative_binomial_nll_backward(const Tensor& grad_loss, const CountPair& pair,
                                               const NegativeBinomialOptions& options,
                                               const std::array<bool, 3>& wanted);

}  // namespace fastvae
