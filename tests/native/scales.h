// The forms of a scale: what sigma is of the raw number.
#pragma once
#include <cstring>

#include "number.h"
#include "pointwise.h"

namespace native {

struct Scale {
  const char* name;
  double low, high;  // of the raw numbers
  Dual (*sigma)(const Dual& raw);
};

inline const std::vector<Scale>& scales() {
  static const std::vector<Scale> all = {
      {"logvar", -1.3, 1.3, [](const Dual& raw) { return exp(Dual(0.5) * raw); }},
      {"log_std", -0.7, 0.7, [](const Dual& raw) { return exp(raw); }},
      {"std", 0.5, 2, [](const Dual& raw) { return raw; }},
      {"softplus", -0.5, 1.5, [](const Dual& raw) { return softplus(raw); }},
      {"variance", 0.3, 3, [](const Dual& raw) { return sqrt(raw); }},
  };
  return all;
}

// A form with one of the modifiers: none, a clamp, a floor of sigma, a floor of the variance.
struct Form {
  const Scale& scale;
  ScaleOptions options;

  Form(const Scale& scale, int modifier) : scale(scale) {
    while (unit().parameterizations[options.parameterization] &&
           std::strcmp(unit().parameterizations[options.parameterization], scale.name) != 0)
      ++options.parameterization;
    CHECK(unit().parameterizations[options.parameterization]);
    const double width = scale.high - scale.low;
    const bool clamp = modifier == 1;
    options.low = clamp ? scale.low + 0.2037 * width : -std::numeric_limits<double>::infinity();
    options.high = clamp ? scale.high - 0.2037 * width : std::numeric_limits<double>::infinity();
    options.min_std = modifier == 2 ? 0.25 : 0;
    options.min_var = modifier == 3 ? 0.25 : 0;
  }

  Dual sigma(const Dual& raw) const {
    const Dual plain = scale.sigma(clamped(raw, options.low, options.high));
    if (options.min_std > 0) return plain + Dual(options.min_std);
    return options.min_var > 0 ? sqrt(square(plain) + Dual(options.min_var)) : plain;
  }
};
constexpr int kModifiers = 4;

template <class Run>
void for_each_form(const Run& run) {
  const std::string name = progress().where;
  for (const Scale& scale : scales())
    for (int modifier = 0; modifier < kModifiers; ++modifier) {
      progress().where = name + " " + scale.name + " modifier " + std::to_string(modifier);
      run(Form(scale, modifier));
    }
  progress().where = name;
}

// Every form in some cases, every case in some forms.
template <class Run>
void for_each_form_and_case(const Run& run) {
  int form = 0;
  for_each_form([&](const Form& of) {
    ++form;
    for_each_case(
        [&](const Case& c) {
          if (c.number % 5 == form % 5) run(of, c);
        },
        7 * form);
  });
}

}  // namespace native
