// -log p of pixels under a mixture of discretized logistics (Salimans et al. 2017), and its gradient.
#pragma once
#include "arguments.h"
#include "kernels/unit.h"

namespace fastvae::FASTVAE_UNIT_NAMESPACE {

void discretized_logistic_mixture(const DiscretizedLogisticMixture& a);

}
