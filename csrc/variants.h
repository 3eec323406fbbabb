// The variants of the kernels by the names that Python gives them.
#pragma once
#include <stdexcept>
#include <string>

#include "arguments.h"
#include "options.h"

namespace fastvae {

// The index of `name` among the variants that the kernels have.
inline int index_of(const char* argument, const char* const* variants, Name name) {
  std::string known;
  for (int index = 0; variants[index]; ++index) {
    if (name == variants[index]) return index;
    known += (index ? ", " : "") + std::string(variants[index]);
  }
  throw std::invalid_argument(std::string(argument) + ": got '" + std::string(name) + "'; takes " + known);
}

inline ScaleOptions scale_options(const ScaleForm& form) {
  return {index_of("parameterization", kernels().parameterizations, form.parameterization), form.low, form.high,
          form.min_std, form.min_var};
}

}  // namespace fastvae
