// The tensors that ops return, made by torch itself: `fastvae._outputs` says the same to its tracer.
#pragma once
#include <pybind11/pybind11.h>

#include <cstdint>
#include <optional>
#include <string_view>

#include "exchange.h"

namespace fastvae {

// A tensor and a reference to it; None where it is absent.
struct Output : Tensor {
  pybind11::object owner = pybind11::none();

  Output() = default;
  explicit Output(pybind11::object made);
};

// In the shape, dtype and dense layout of an operand, as its gradient is.
Output empty_like(const Tensor& operand);

// The same, where it is wanted and the operand is there.
Output gradient_like(bool wanted, const Tensor& operand);

// An unreduced, per-sample or scalar loss over a tensor shaped as `like`: in float64 for float64, else in float32.
Output loss_over(const Tensor& like, std::string_view reduction, int batch_dims);

// One sample of a posterior with means `mu`, or `num_samples` in a leading dimension.
Output sample_of(const Tensor& mu, const std::optional<int64_t>& num_samples);

// [rows of like, columns], in the dtype of a loss.
Output columns_beside(const Tensor& like, int64_t columns);

// `like` without its dimension `dim`, in the dtype of a loss.
Output loss_without(const Tensor& like, int dim);

}  // namespace fastvae
