// The negative binomial likelihood of counts: see negative_binomial_nll.cpp.
#pragma once
#include "arguments.h"
#include "kernels/unit.h"

namespace fastvae::FASTVAE_UNIT_NAMESPACE {

void negative_binomial_nll(const NegativeBinomialNll& a);

}  // namespace fastvae::FASTVAE_UNIT_NAMESPACE
