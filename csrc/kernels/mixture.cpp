// Mixtures of diagonal Gaussians of one instruction-set unit.
#include "kernels/mixture.h"

#include "kernels/mixture_backward.h"

namespace fastvae {
namespace FASTVAE_UNIT_NAMESPACE {

void mixture(const MixtureForward& a) { a.f64 ? mixture_of<double>(a) : mixture_of<float>(a); }

void mixture_backward(const MixtureBackward& a) {
  a.f64 ? mixture_backward_of<double>(a) : mixture_backward_of<float>(a);
}

int64_t mixture_workspace(const MixtureForward& a) {
  return a.f64 ? ForwardWorkspace<double>(a).bytes(a) : ForwardWorkspace<float>(a).bytes(a);
}

int64_t mixture_backward_workspace(const MixtureBackward& a) {
  return a.f64 ? BackwardWorkspace<double>(a).bytes(a) : BackwardWorkspace<float>(a).bytes(a);
}

}  // namespace FASTVAE_UNIT_NAMESPACE
}  // namespace fastvae
