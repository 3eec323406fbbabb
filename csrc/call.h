// One call of a kernel: collects its operands from tensors, collapses them together, runs without the GIL.
#pragma once
#include <pybind11/pybind11.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "arguments.h"
#include "exchange.h"
#include "float_mode.h"
#include "fork.h"
#include "huge_pages.h"
#include "layout.h"
#include "scratch.h"

namespace fastvae {

template <class Arguments>
void run_without_gil(void (*kernel)(const Arguments&), const Arguments& arguments) {
  const pybind11::gil_scoped_release release;
  const InFloatMode mode(kernel_mode(float_mode()));
  kernel(arguments);
}

template <class Arguments>
class Call {
 public:
  Arguments arguments;

  // An op over the shape of `like`, in its compute type.
  Call(const Tensor& like, int batch_dims) : batch_dims_(batch_dims) {
    shape_.rank = like.rank;
    std::copy_n(like.sizes, like.rank, shape_.sizes);
    arguments.f64 = like.dtype == DType::f64;
    arguments.threads = usable_threads(torch_threads());
  }

  // A tensor whose shape broadcasts to the op's. An absent one does nothing, here and below.
  Call& operand(View& view, const Tensor& tensor) { return place(view, tensor, shape_.rank - tensor.rank); }

  // A tensor with a dimension more than the op's, which the kernel loops over.
  Call& looped(View& view, const Tensor& tensor, int dim) {
    if (!tensor.present()) return *this;
    int64_t sizes[kMaxDims], strides[kMaxDims];
    std::copy(tensor.sizes + dim + 1, tensor.sizes + tensor.rank, std::copy_n(tensor.sizes, dim, sizes));
    std::copy(tensor.strides + dim + 1, tensor.strides + tensor.rank, std::copy_n(tensor.strides, dim, strides));
    view.outer_stride = tensor.strides[dim];
    return place(view, {tensor.object, tensor.data, tensor.dtype, tensor.rank - 1, sizes, strides}, 0);
  }

  // A tensor of the op's shape, or of `num_samples` of them.
  Call& samples(View& view, const Tensor& tensor, const std::optional<int64_t>& num_samples) {
    return num_samples ? looped(view, tensor, 0) : operand(view, tensor);
  }

  // The gradient of a reduced loss, broadcast back over the trailing dimensions that were summed.
  Call& upstream(View& view, const Tensor& tensor) { return place(view, tensor, 0); }

  // The gradient of an operand, in the operand's shape.
  Call& gradient(Gradient& gradient, const Tensor& tensor) {
    if (tensor.present() && tensor.count() != count()) {
      gradient.size = tensor.count();
      summed_.push_back(&gradient);
    }
    return fresh(tensor).operand(gradient, tensor);
  }

  // Where a loss goes, and its per-sample sums where they are wanted beside it.
  Call& loss(LossOutput& output, const Tensor& loss, const Tensor& per_sample, std::string_view reduction) {
    const bool elementwise = reduction == "none", by_sample = reduction == "sample";
    if (elementwise) fresh(loss).operand(output.elementwise, loss);
    output.per_sample = by_sample ? loss.data : per_sample.data;
    output.total = elementwise || by_sample ? nullptr : loss.data;
    output.factor = factor(reduction);
    loss_ = output.per_sample || output.total ? &output : nullptr;
    return *this;
  }

  // An output whose memory may never have been touched.
  Call& fresh(const Tensor& tensor) {
    if (tensor.present()) advise_huge_pages(tensor.data, tensor.count() * tensor.item_size());
    return *this;
  }

  // What turns a sum over everything into `reduction`. An average over nothing is 0 * inf = NaN, as in torch.
  double factor(std::string_view reduction) const {
    if (reduction == "mean") return reciprocal(count());
    if (reduction == "batchmean") return reciprocal(element_count(shape_.sizes, shape_.sizes + batch_dims_));
    return 1;
  }

  // The most sums of broadcast gradients, over all parts: where threads share more than the parts.
  Call& sums_at_most(int64_t most) {
    most_sums_ = most;
    return *this;
  }

  void run(void (*kernel)(const Arguments&), bool reorder) {
    arguments.space = collapse(shape_, batch_dims_, operands_, size_, reorder);
    arguments.parts = arguments.space.blocks();
    for (const Gradient* gradient : summed_) arguments.parts = std::min(arguments.parts, parts_for(*gradient));
    std::vector<double> sums(sums_size());
    double* next = sums.data();
    if (loss_) loss_->partials = std::exchange(next, next + arguments.space.blocks());
    for (Gradient* gradient : summed_) gradient->sums = std::exchange(next, next + arguments.parts * gradient->size);
    const Scratch scratch(std::clamp<int64_t>(arguments.space.blocks(), 1, arguments.threads));
    arguments.scratch = scratch.data();
    run_without_gil(kernel, arguments);
  }

 private:
  static constexpr int kMaxOperands = 16;

  static double reciprocal(int64_t count) {
    return count ? 1.0 / static_cast<double>(count) : std::numeric_limits<double>::infinity();
  }

  int64_t count() const { return element_count(shape_.sizes, shape_.sizes + shape_.rank); }

  // Sums of broadcast gradients take a fixed number of parts, so that no addition depends on the number of threads, and
  // no more memory than the gradient would at full size.
  int64_t parts_for(const Gradient& gradient) const {
    const int64_t size = std::max<int64_t>(gradient.size, 1);
    return std::clamp<int64_t>(std::min(count() / (2 * size), most_sums_ / size), 1, 64);
  }

  // One more than is used, so that there is an address even of nothing.
  size_t sums_size() const {
    int64_t size = 1 + (loss_ ? arguments.space.blocks() : 0);
    for (const Gradient* gradient : summed_) size += arguments.parts * gradient->size;
    return static_cast<size_t>(size);
  }

  // The tensor's first dimension is the op's dimension `first`.
  Call& place(View& view, const Tensor& tensor, int first) {
    if (!tensor.present()) return *this;
    if (first < 0) throw std::invalid_argument("got a tensor of more dimensions than the op's");
    view.data = tensor.data;
    view.dtype = tensor.dtype;
    Operand& operand = operands_[size_++];
    operand.view = &view;
    for (int d = 0; d < shape_.rank; ++d) {
      const int at = d - first;
      const bool broadcast = at < 0 || at >= tensor.rank || (tensor.sizes[at] == 1 && shape_.sizes[d] != 1);
      if (!broadcast && tensor.sizes[at] != shape_.sizes[d])
        throw std::invalid_argument("got a tensor of size " + std::to_string(tensor.sizes[at]) + " where the op's is " +
                                    std::to_string(shape_.sizes[d]));
      operand.strides[d] = broadcast ? 0 : tensor.strides[at];
    }
    return *this;
  }

  Shape shape_;
  int batch_dims_;
  Operand operands_[kMaxOperands];
  int size_ = 0;
  int64_t most_sums_ = std::numeric_limits<int64_t>::max();
  LossOutput* loss_ = nullptr;
  std::vector<Gradient*> summed_;
};

}  // namespace fastvae
