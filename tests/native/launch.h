// One call of a kernel as the bindings make it: operands collapsed together, sums in parts; on one thread and on
// several, which must leave the same bits, and nothing but those.
#pragma once
#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "arguments.h"
#include "array.h"
#include "check.h"
#include "layout.h"
#include "scratch.h"

namespace native {

using namespace fastvae;

// The unit that this program has.
const Kernels& unit();

constexpr int kThreads[] = {1, 2, 5};

// Calls run(threads) on each number of threads and compares what is left in the outputs.
template <class Run>
void on_threads(const std::vector<const Array*>& inputs, const std::vector<Array*>& outputs, const Run& run) {
  std::vector<std::string> first;
  for (const int threads : kThreads) {
    for (Array* output : outputs) output->restore();
    run(threads);
    for (const Array* input : inputs) CHECK(input->kept());
    for (size_t i = 0; i < outputs.size(); ++i) {
      CHECK(outputs[i]->unharmed());
      if (threads == 1) first.push_back(outputs[i]->bytes());
      CHECK(outputs[i]->bytes() == first[i]);
    }
  }
}

template <class Arguments>
class Call {
 public:
  Arguments arguments;

  Call(const Sizes& sizes, bool f64) : sizes_(sizes) {
    arguments.f64 = f64;
    operands_.reserve(16);
  }

  Call& input(View& view, const Array& array) {
    if (!array) return *this;
    inputs_.push_back(&array);
    return place(view, const_cast<Array&>(array));
  }
  Call& output(View& view, Array& array) {
    if (!array) return *this;
    outputs_.push_back(&array);
    return place(view, array);
  }
  Call& gradient(Gradient& gradient, Array& array) {
    if (array && array.broadcast()) {
      gradient.size = array.elements();
      summed_.push_back(&gradient);
    }
    return output(gradient, array);
  }
  // An elementwise loss, or the sums of samples and the total; each may be absent.
  Call& loss(LossOutput& loss, Array& elementwise, Array& per_sample, Array& total, double factor) {
    output(loss.elementwise, elementwise);
    for (Array* sums : {&per_sample, &total})
      if (*sums) outputs_.push_back(sums);
    loss.per_sample = per_sample ? per_sample.data() : nullptr;
    loss.total = total ? total.data() : nullptr;
    loss.factor = factor;
    loss_ = loss.per_sample || loss.total ? &loss : nullptr;
    return *this;
  }

  void run(void (*kernel)(const Arguments&), bool reorder = true) {
    Shape shape;
    shape.rank = static_cast<int>(sizes_.size());
    std::copy(sizes_.begin(), sizes_.end(), shape.sizes);
    Space& space = arguments.space = collapse(shape, 1, operands_.data(), static_cast<int>(operands_.size()), reorder);
    arguments.parts = space.blocks();
    for (const Gradient* gradient : summed_)
      arguments.parts = std::clamp<int64_t>(space.count / (2 * std::max<int64_t>(gradient->size, 1)), 1,
                                            std::max<int64_t>(arguments.parts, 1));
    on_threads(inputs_, outputs_, [&](int threads) {
      std::vector<double> partials(static_cast<size_t>(space.blocks()), std::numeric_limits<double>::quiet_NaN());
      std::vector<std::vector<double>> sums;
      if (loss_) loss_->partials = partials.empty() ? &nothing_ : partials.data();
      for (Gradient* gradient : summed_) {
        sums.emplace_back(static_cast<size_t>(std::max<int64_t>(arguments.parts * gradient->size, 1)));
        gradient->sums = sums.back().data();
      }
      arguments.threads = threads;
      const Scratch scratch(threads);
      arguments.scratch = scratch.data();
      kernel(arguments);
    });
  }

 private:
  Call& place(View& view, Array& array) {
    view.data = array.data();
    view.dtype = array.dtype;
    view.outer_stride = array.outer_stride;
    Operand operand;
    operand.view = &view;
    std::copy(array.strides.begin(), array.strides.end(), operand.strides);
    operands_.push_back(operand);
    return *this;
  }

  Sizes sizes_;
  std::vector<Operand> operands_;
  std::vector<const Array*> inputs_;
  std::vector<Array*> outputs_;
  std::vector<Gradient*> summed_;
  LossOutput* loss_ = nullptr;
  double nothing_ = 0;
};

}  // namespace native
