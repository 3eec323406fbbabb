// The arguments of every kernel: plain structs that cross from the bindings into one instruction-set unit.
#pragma once
#include "tensor.h"

namespace fastvae {

// How a raw scale becomes sigma: parameterization(clamp(raw, low, high)), plus one of the two floors.
struct ScaleOptions {
  int parameterization = 0;  // an index into Kernels::parameterizations
  double low = 0, high = 0, min_std = 0, min_var = 0;
};

// Where a loss goes: elementwise, or as sums per sample and in total, the total times `factor`. Partials holds one
// double a block. Null pointers are not written.
struct LossOutput {
  View elementwise;
  void* per_sample = nullptr;
  void* total = nullptr;
  double factor = 1;
  double* partials = nullptr;
};

// What every kernel has: the space, the parts its blocks are dealt to threads in, the compute type (float, or double),
// torch's number of threads, and kScratchBytes for each.
struct Launch {
  Space space;
  int64_t parts = 0;
  bool f64 = false;
  int threads = 1;
  char* scratch = nullptr;
};

// The noise of a seed: at which of its elements the first sample begins, and how many later the next one.
struct SeedStream {
  const int64_t* seed = nullptr;
  int64_t first = 0, stride = 0;
};

struct ReparameterizeKl : Launch {
  View mu, scale, prior_mu, prior_scale, eps;
  SeedStream stream;
  int64_t num_samples = 1;
  ScaleOptions options;
  View z;
  bool kl_wanted = false;
  LossOutput kl;
};

struct ReparameterizeKlBackward : Launch {
  View grad_z, grad_kl, mu, scale, prior_mu, prior_scale, eps;
  SeedStream stream;
  int64_t num_samples = 1;
  ScaleOptions options;
  double factor = 1;
  Gradient grad_mu, grad_scale, grad_prior_mu, grad_prior_scale;
};

struct Reconstruction : Launch {
  int likelihood = 0;  // an index into Kernels::likelihoods
  View input, target, weight, log_scale;
  bool full = false;
  LossOutput loss;
  View grad;
  Gradient grad_log_scale;
};

struct ReconstructionBackward : Launch {
  int likelihood = 0;  // an index into Kernels::likelihoods
  View grad_loss, input, target, weight, log_scale;
  double factor = 1;
  Gradient grad_input, grad_target, grad_log_scale;
};

struct LogNormal : Launch {
  View z, mu, scale;
  ScaleOptions options;
  LossOutput log_prob;
};

struct LogNormalBackward : Launch {
  View grad_log_prob, z, mu, scale;
  ScaleOptions options;
  double factor = 1;
  Gradient grad_z, grad_mu, grad_scale;
};

// The K samples are `outer_stride` apart.
struct ImportanceWeightedBound : Launch {
  View log_w, bound;
  int64_t num_samples = 1;
};

struct ImportanceWeightedBoundBackward : Launch {
  View grad_bound, log_w, bound, grad_log_w;
  int64_t num_samples = 1;
};

// A tensor of one or two dimensions, in a space of its own.
struct Matrix : View {
  Space space;
};

// Points and the components of a mixture of Gaussians: [points, dims], [components, dims]. The kernel computes in
// `workspace`, aligned for its registers, as large as Kernels::mixture_workspace says.
struct Mixture {
  bool f64 = false;
  int threads = 1;
  int64_t points = 0, components = 0, dims = 0;
  Matrix z, mu, scale;
  ScaleOptions options;
  Matrix log_weights;         // of the components, unnormalized; absent: equal
  bool by_dimension = false;  // is each dimension a mixture of its own, too?
  // Of the density of point i under component i, and under the next one (cyclically): logarithms of what they count for
  // more than the others. Of a square mixture, whose weights are all 1 but for these.
  bool stratified = false;
  double log_own = 0, log_next = 0;
  // What backward needs of the sums over the components, contiguous in the compute type: the sum of each dimension,
  // where those are wanted, then the largest exponent of all dimensions and the sum relative to it.
  void* sums = nullptr;
  void* workspace = nullptr;
};

// [points] each, contiguous in the compute type: of a mixture whose weights have the logarithm log_weight, the
// log-density of all dimensions, and the sum of those of every one where that is wanted.
struct MixtureForward : Mixture {
  double log_weight = 0;
  void *log_joint = nullptr, *log_product = nullptr;
};

struct MixtureBackward : Mixture {
  Matrix grad_joint, grad_product;  // of the log sums of all dimensions, and of those of every single one
  Matrix grad_z, grad_mu, grad_scale, grad_log_weights;
};

// Forward, and backward where `upstream` is there: then without a loss. `factor` is that of the gradients. by_feature:
// each sum of a gradient belongs to one element of every sample.
struct NegativeBinomialNll : Launch {
  View mean, target, dispersion, logits, weight, upstream;
  bool log_input = false, by_feature = false;
  LossOutput loss;
  double factor = 1;
  Gradient grad_mean, grad_dispersion, grad_logits;
};

// Over pixels: the channels of `params`, `target` and `grad` are `outer_stride` apart. Backward has a `grad_loss` and
// no loss. A thread computes in `chunk_bytes()` of its own, too.
struct DiscretizedLogisticMixture : Launch {
  static constexpr int64_t kPixels = 128;  // of a chunk

  View params, target, grad_loss;
  int64_t num_mixtures = 1, channels = 1;
  double levels = 1;  // one less than there are
  LossOutput loss;
  double factor = 1;
  View grad;
  char* chunks = nullptr;

  // Of a component and channel: mean, log scale and, between channels, a coefficient.
  int64_t kinds() const { return channels == 1 ? 2 : 3; }
  int64_t chunk_bytes() const {
    return (num_mixtures * (channels * kinds() + 2) + 24) * kPixels * static_cast<int64_t>(f64 ? 8 : 4);
  }
};

struct ScaleGradient : Launch {
  View grad, upstream;
};

struct Normal {
  const int64_t* seed = nullptr;
  int64_t start = 0, count = 0;
  float* out = nullptr;
  int threads = 1;
};

// One instruction-set unit: the same kernels compiled for one set of processor features, and the variants they have, in
// arrays that end in a null.
struct Kernels {
  const char* name;
  const char* const* likelihoods;
  const char* const* parameterizations;
  void (*reparameterize_kl)(const ReparameterizeKl&);
  void (*reparameterize_kl_backward)(const ReparameterizeKlBackward&);
  void (*reconstruction)(const Reconstruction&);
  void (*reconstruction_backward)(const ReconstructionBackward&);
  void (*log_normal)(const LogNormal&);
  void (*log_normal_backward)(const LogNormalBackward&);
  void (*importance_weighted_bound)(const ImportanceWeightedBound&);
  void (*importance_weighted_bound_backward)(const ImportanceWeightedBoundBackward&);
  void (*mixture)(const MixtureForward&);
  void (*mixture_backward)(const MixtureBackward&);
  int64_t (*mixture_workspace)(const MixtureForward&);  // in bytes
  int64_t (*mixture_backward_workspace)(const MixtureBackward&);
  void (*negative_binomial_nll)(const NegativeBinomialNll&);
  void (*discretized_logistic_mixture)(const DiscretizedLogisticMixture&);
  void (*scale_gradient)(const ScaleGradient&);
  void (*normal)(const Normal&);
};

// The unit this process runs, chosen once.
const Kernels& kernels();

}  // namespace fastvae
