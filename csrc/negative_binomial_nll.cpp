#include "negative_binomial_nll.h"

#include "arguments.h"
#include "call.h"
#include "outputs.h"

namespace py = pybind11;

namespace fastvae {
namespace {

// Sums of gradients a thread may have to itself, in doubles: a megabyte.
constexpr int64_t kMostSums = 1 << 17;

// Is `gradient` the same for all samples, and one for each of their elements?
bool one_a_feature(const Tensor& gradient, const Tensor& mean, int batch_dims) {
  const int lead = mean.rank - gradient.rank;
  for (int d = 0; d < mean.rank; ++d) {
    const int64_t size = d < lead ? 1 : gradient.sizes[d - lead];
    if (size != (d < batch_dims ? 1 : mean.sizes[d])) return false;
  }
  return true;
}

struct CountGradients {
  Output mean, dispersion, logits;

  CountGradients(const std::array<bool, 3>& wanted, const CountPair& pair)
      : mean(gradient_like(wanted[0], pair.mean)),
        dispersion(gradient_like(wanted[1], pair.inverse_dispersion)),
        logits(gradient_like(wanted[2], pair.zero_inflation_logits)) {}
};

void set(Call<NegativeBinomialNll>& call, const CountPair& pair, const NegativeBinomialOptions& options,
         const CountGradients& gradients) {
  NegativeBinomialNll& a = call.arguments;
  call.operand(a.mean, pair.mean).operand(a.target, pair.target).operand(a.weight, pair.weight);
  call.operand(a.dispersion, pair.inverse_dispersion).operand(a.logits, pair.zero_inflation_logits);
  call.gradient(a.grad_mean, gradients.mean).gradient(a.grad_dispersion, gradients.dispersion);
  call.gradient(a.grad_logits, gradients.logits);
  call.sums_at_most(kMostSums);
  a.log_input = options.log_input;
  a.factor = call.factor(options.reduction);
  bool summed = false, by_feature = true;
  for (const Tensor* gradient : {&gradients.dispersion, &gradients.logits}) {
    if (!gradient->present() || gradient->count() == pair.mean.count()) continue;
    summed = true;
    by_feature &= one_a_feature(*gradient, pair.mean, options.batch_dims);
  }
  a.by_feature = summed && by_feature;
}

}  // namespace

py::tuple negative_binomial_nll(const CountPair& pair, const NegativeBinomialOptions& options, bool per_sample,
                                const std::array<bool, 3>& grad) {
  const Output loss = loss_over(pair.mean, options.reduction, options.batch_dims);
  const bool beside = per_sample && options.reduction != "sample";
  const Output samples = beside ? loss_over(pair.mean, "sample", options.batch_dims) : Output();
  const CountGradients gradients(grad, pair);
  Call<NegativeBinomialNll> call(pair.mean, options.batch_dims);
  set(call, pair, options, gradients);
  call.loss(call.arguments.loss, loss, samples, options.reduction);
  call.run(kernels().negative_binomial_nll, true);
  return py::make_tuple(loss.owner, samples.owner, gradients.mean.owner, gradients.dispersion.owner,
                        gradients.logits.owner);
}

py::tuple negative_binomial_nll_backward(const Tensor& grad_loss, const CountPair& pair,
                                         const NegativeBinomialOptions& options, const std::array<bool, 3>& wanted) {
  const CountGradients gradients(wanted, pair);
  Call<NegativeBinomialNll> call(pair.mean, options.batch_dims);
  set(call, pair, options, gradients);
  call.upstream(call.arguments.upstream, grad_loss);
  call.run(kernels().negative_binomial_nll, true);
  return py::make_tuple(gradients.mean.owner, gradients.dispersion.owner, gradients.logits.owner);
}

}  // namespace fastvae
