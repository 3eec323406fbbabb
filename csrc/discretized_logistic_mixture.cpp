#include "discretized_logistic_mixture.h"

#include <algorithm>
#include <cstdint>
#include <memory>

#include "call.h"
#include "outputs.h"

namespace py = pybind11;

namespace fastvae {

namespace {

// A tensor without its dimension `dim`: the shape over which the op's kernel runs.
struct Pixels {
  Tensor tensor;

  Pixels(const Tensor& like, int dim) : tensor(like) {
    std::copy(like.sizes + dim + 1, like.sizes + like.rank, std::copy_n(like.sizes, dim, sizes_));
    tensor.sizes = sizes_;
    tensor.rank = like.rank - 1;
  }
  Pixels(const Pixels&) = delete;

 private:
  int64_t sizes_[kMaxDims];
};

class MixtureCall : public Call<DiscretizedLogisticMixture> {
 public:
  MixtureCall(const Tensor& params, const Tensor& target, const Tensor& grad, const DiscretizedMixtureOptions& options)
      : Call(Pixels(params, options.dim).tensor, 1) {
    looped(arguments.params, params, options.dim).looped(arguments.target, target, options.dim);
    fresh(grad).looped(arguments.grad, grad, options.dim);
    arguments.num_mixtures = options.num_mixtures;
    arguments.channels = target.sizes[options.dim];
    arguments.levels = static_cast<double>((int64_t(1) << options.bits) - 1);
    arguments.factor = factor(options.reduction);
  }

  void run() {
    constexpr size_t kAlignment = 64;
    size_t space = arguments.chunk_bytes() * arguments.threads + kAlignment;
    const std::unique_ptr<char[]> chunks(new char[space]);
    void* aligned = chunks.get();
    arguments.chunks = static_cast<char*>(std::align(kAlignment, space - kAlignment, aligned, space));
    Call::run(kernels().discretized_logistic_mixture, true);
  }
};

}  // namespace

py::tuple discretized_logistic_mixture_nll(const Tensor& params, const Tensor& target,
                                           const DiscretizedMixtureOptions& options, bool per_sample, bool grad) {
  const bool elementwise = options.reduction == "none", beside = per_sample && options.reduction != "sample";
  const Output loss = elementwise ? loss_without(params, options.dim) : loss_over(params, options.reduction, 1);
  const Output samples = beside ? loss_over(params, "sample", 1) : Output();
  const Output gradient = gradient_like(grad, params);
  MixtureCall call(params, target, gradient, options);
  call.loss(call.arguments.loss, loss, samples, options.reduction);
  call.run();
  return py::make_tuple(loss.owner, samples.owner, gradient.owner);
}

py::object discretized_logistic_mixture_nll_backward(const Tensor& grad_loss, const Tensor& params,
                                                     const Tensor& target, const DiscretizedMixtureOptions& options) {
  const Output gradient = empty_like(params);
  MixtureCall call(params, target, gradient, options);
  call.upstream(call.arguments.grad_loss, grad_loss);
  call.run();
  return gradient.owner;
}

}  // namespace fastvae
