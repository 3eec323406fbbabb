// The arguments that the ops of a family share: the NamedTuples of fastvae/_options.py, and tensors. A test compares
// the names and their order with Python's.
#pragma once
#include <pybind11/pybind11.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <tuple>

#include "exchange.h"
#include "flat.h"

namespace fastvae {

using Name = std::string_view;

struct ScaleForm {
  Name parameterization;
  double low, high, min_std, min_var;
  FASTVAE_OPTIONS(parameterization, low, high, min_std, min_var)
};

struct PosteriorOptions {
  std::optional<int64_t> num_samples;
  ScaleForm form;
  std::optional<Name> reduction;
  int batch_dims;
  std::optional<std::array<int64_t, 2>> shard;  // the first row, and the rows of the whole batch
  FASTVAE_OPTIONS(num_samples, form, reduction, batch_dims, shard)
};

struct Packing {
  int dim;
  bool interleaved;
  FASTVAE_OPTIONS(dim, interleaved)
};

struct ReconstructionOptions {
  Name loss;
  bool full;
  Name reduction;
  int batch_dims;
  FASTVAE_OPTIONS(loss, full, reduction, batch_dims)
};

struct DensityOptions {
  ScaleForm form;
  Name reduction;
  int batch_dims;
  FASTVAE_OPTIONS(form, reduction, batch_dims)
};

struct MinibatchOptions {
  ScaleForm form;
  int64_t dataset_size;
  Name weighting;
  FASTVAE_OPTIONS(form, dataset_size, weighting)
};

struct NegativeBinomialOptions {
  bool log_input;
  Name reduction;
  int batch_dims;
  FASTVAE_OPTIONS(log_input, reduction, batch_dims)
};

struct DiscretizedMixtureOptions {
  int64_t num_mixtures;
  int dim, bits;
  Name reduction;
  FASTVAE_OPTIONS(num_mixtures, dim, bits, reduction)
};

// The operands that the ops of a family take, forward and backward.
struct PriorAndNoise {
  Tensor prior_mu, prior_scale, eps, seed;
  FASTVAE_OPERANDS(prior_mu, prior_scale, eps, seed)

  // Is a sample wanted? Without a source of noise there is only the KL.
  bool noisy() const { return eps.present() || seed.present(); }
};

struct Pair {
  Tensor input, target, weight, log_scale;
  FASTVAE_OPERANDS(input, target, weight, log_scale)
};

struct Density {
  Tensor z, mu, scale;
  FASTVAE_OPERANDS(z, mu, scale)
};

struct CountPair {
  Tensor mean, target, inverse_dispersion, zero_inflation_logits, weight;
  FASTVAE_OPERANDS(mean, target, inverse_dispersion, zero_inflation_logits, weight)
};

// The names of the fields of each struct.
inline pybind11::dict fields_by_struct() {
  pybind11::dict names;
  names["ScaleForm"] = ScaleForm::kNames;
  names["PosteriorOptions"] = PosteriorOptions::kNames;
  names["Packing"] = Packing::kNames;
  names["ReconstructionOptions"] = ReconstructionOptions::kNames;
  names["DensityOptions"] = DensityOptions::kNames;
  names["MinibatchOptions"] = MinibatchOptions::kNames;
  names["DiscretizedMixtureOptions"] = DiscretizedMixtureOptions::kNames;
  names["PriorAndNoise"] = PriorAndNoise::kNames;
  names["Pair"] = Pair::kNames;
  names["Density"] = Density::kNames;
  names["NegativeBinomialOptions"] = NegativeBinomialOptions::kNames;
  names["CountPair"] = CountPair::kNames;
  return names;
}

}  // namespace fastvae
