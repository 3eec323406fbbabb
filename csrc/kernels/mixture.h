// Mixtures of diagonal Gaussians, with a source file of their own: see unit.h.
#pragma once
#include "arguments.h"
#include "kernels/unit.h"

namespace fastvae {
namespace FASTVAE_UNIT_NAMESPACE {

void mixture(const MixtureForward& a);
void mixture_backward(const MixtureBackward& a);
int64_t mixture_workspace(const MixtureForward& a);
int64_t mixture_backward_workspace(const MixtureBackward& a);

}  // namespace FASTVAE_UNIT_NAMESPACE
}  // namespace fastvae
