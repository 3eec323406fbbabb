// Formulas with a fast form, which holds for values up to kFastRange in magnitude: which of the two a block takes.
#pragma once
#include "kernels/elementary.h"

namespace {

// Is no value larger than `bound` in magnitude, or NaN? True of an absent array.
template <class T>
bool all_within(const T* values, int64_t n, T bound) {
  int outside = 0;
  for (int64_t i = 0; values && i < n; ++i) outside |= !(magnitude(values[i]) <= bound);
  return !outside;
}

// Calls visit(Form::FastForm{}) where within(kFastRange) says that all values are in its range, else visit(form). A
// kFastRange of 0 says that there is no fast form.
template <class Form, class Within, class Visit>
FASTVAE_INLINE void with_fastest(Form form, const Within& within, const Visit& visit) {
  if constexpr (Form::kFastRange > 0) {
    if (within(Form::kFastRange)) return visit(typename Form::FastForm{});
  }
  visit(form);
}

}  // namespace
