// One instruction-set unit: the table of its kernels. CMake compiles this file once a unit, with FASTVAE_UNIT naming
// it.
#include "kernels/unit.h"
#include "kernels/discretized_logistic_mixture.h"
#include "kernels/gradients.h"
#include "kernels/importance_weighted_bound.h"
#include "kernels/log_normal.h"
#include "kernels/mixture.h"
#include "kernels/negative_binomial_nll.h"
#include "kernels/reconstruction.h"
#include "kernels/reparameterize_kl.h"

namespace {

void normal(const Normal& a) {
  constexpr int64_t kChunk = 8 * kBlock;
  parallel_for((a.count + kChunk - 1) / kChunk, a.threads, 1, [&](int64_t first, int64_t last, int64_t) {
    const int64_t begin = first * kChunk, end = smaller(last * kChunk, a.count);
    fill_normal(static_cast<uint64_t>(*a.seed), a.start + begin, end - begin, a.out + begin);
  });
}

}  // namespace

// The kernel of each op in the launch's compute type.
#define FASTVAE_KERNEL(op) [](const auto& a) { a.f64 ? op<double>(a) : op<float>(a); }

namespace fastvae {

extern const Kernels FASTVAE_JOIN(kernels_, FASTVAE_UNIT);
const Kernels FASTVAE_JOIN(kernels_, FASTVAE_UNIT) = {
    FASTVAE_STRING(FASTVAE_UNIT),
    Likelihoods::kNames,
    Parameterizations::kNames,
    FASTVAE_KERNEL(reparameterize_kl),
    FASTVAE_KERNEL(reparameterize_kl_backward),
    FASTVAE_KERNEL(reconstruction),
    FASTVAE_KERNEL(reconstruction_backward),
    FASTVAE_KERNEL(log_normal),
    FASTVAE_KERNEL(log_normal_backward),
    FASTVAE_KERNEL(importance_weighted_bound),
    FASTVAE_KERNEL(importance_weighted_bound_backward),
    FASTVAE_UNIT_NAMESPACE::mixture,
    FASTVAE_UNIT_NAMESPACE::mixture_backward,
    FASTVAE_UNIT_NAMESPACE::mixture_workspace,
    FASTVAE_UNIT_NAMESPACE::mixture_backward_workspace,
    FASTVAE_UNIT_NAMESPACE::negative_binomial_nll,
    FASTVAE_UNIT_NAMESPACE::discretized_logistic_mixture,
    FASTVAE_KERNEL(scale_gradient),
    normal,
};

}  // namespace fastvae
