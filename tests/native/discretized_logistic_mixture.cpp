// Mixtures of discretized logistics over grey levels and over three channels, each conditioned on those before it.
#include <memory>

#include "expect.h"
#include "launch.h"

namespace native {
namespace {

constexpr double kLeastLogScale = -7;

struct Images {
  Sizes sizes;  // of the pixels: the channels are a dimension of their own
  DType dtype, target_dtype;
  int64_t num_mixtures, channels, bits;
  Order order;
};

class Oracle {
 public:
  Oracle(const Images& of, const Array& params, const Array& target) : of_(of), params_(params), target_(target) {
    levels_ = std::ldexp(1, static_cast<int>(of.bits)) - 1;
  }
  double levels() const { return levels_; }

  // The loss at pixel i, differentiated by one of the parameters.
  Dual loss(int64_t i, int64_t by) const {
    Dual sum = 0, prior = 0;
    for (int64_t m = 0; m < of_.num_mixtures; ++m) {
      const Dual weight = exp(param(i, m, by));
      Dual log_prob = 0;
      for (int64_t c = 0; c < of_.channels; ++c) {
        Dual mean = param(i, place(c, 0, m), by);
        if (c == 1) mean = mean + tanh(param(i, place(0, 2, m), by)) * level(i, 0);
        if (c == 2) mean = mean + tanh(param(i, place(1, 2, m), by)) * level(i, 0);
        if (c == 2) mean = mean + tanh(param(i, place(2, 2, m), by)) * level(i, 1);
        log_prob = log_prob + log_bin(level(i, c), mean, param(i, place(c, 1, m), by));
      }
      sum = sum + weight * exp(log_prob);
      prior = prior + weight;
    }
    return log(prior) - log(sum);
  }

 private:
  int64_t place(int64_t channel, int64_t kind, int64_t m) const {
    const int64_t kinds = of_.channels == 1 ? 2 : 3;
    return of_.num_mixtures * (1 + channel * kinds + kind) + m;
  }
  Dual param(int64_t i, int64_t place, int64_t by) const {
    return {Number(params_.get(i, place)), Number(place == by ? 1 : 0)};
  }
  Dual level(int64_t i, int64_t channel) const {
    const Dual value = target_.get(i, channel);
    return target_.dtype == DType::u8 ? value / Dual(levels_) * Dual(2) - Dual(1) : value;
  }
  Dual log_bin(const Dual& x, const Dual& mean, const Dual& raw) const {
    const double half = 1 / levels_;
    const Dual inverse = exp(-clamped(raw, kLeastLogScale, INFINITY)), centered = x - mean;
    const Dual below = -softplus(-(inverse * (centered + Dual(half))));
    const Dual above = -softplus(inverse * (centered - Dual(half)));
    if (x.value.value < half - 1) return below;
    if (x.value.value > 1 - half) return above;
    return below + above + log(decayed(Dual(2 * half) * inverse));
  }

  const Images& of_;
  const Array &params_, &target_;
  double levels_;
};

struct Operands {
  Array params, target;

  explicit Operands(const Images& of, uint64_t seed) {
    Random random(seed);
    const int64_t kinds = of.channels == 1 ? 2 : 3;
    params = Array(of.dtype, of.sizes, of.order, of.num_mixtures * (1 + of.channels * kinds));
    for (int64_t p = 0; p < params.outer_size; ++p) {
      const int64_t kind = p < of.num_mixtures ? 0 : (p / of.num_mixtures - 1) % kinds;
      const bool log_scale = p >= of.num_mixtures && kind == 1;
      for (int64_t i = 0; i < params.count(); ++i)
        params.set(i, p, random.between(log_scale ? -3 : -1, log_scale ? 0 : 1));
    }
    params.keep();
    target = Array(of.target_dtype, of.sizes, of.order, of.channels);
    const bool bytes = of.target_dtype == DType::u8;
    const double levels = std::ldexp(1, static_cast<int>(of.bits));
    for (int64_t c = 0; c < of.channels; ++c)
      for (int64_t i = 0; i < target.count(); ++i) {
        // A few at either end, which have all that lies beyond.
        const double position = std::min(std::max(random.between(-0.1, 1.1), 0.0), 0.999999);
        target.set(i, c, bytes ? std::floor(position * levels) : 2 * position - 1);
      }
    target.keep();
  }
};

// A thread's memory, aligned as the product aligns it.
struct Chunks {
  std::unique_ptr<char[]> memory;

  explicit Chunks(DiscretizedLogisticMixture& a) {
    constexpr size_t kAlignment = 64;
    const int most = kThreads[sizeof kThreads / sizeof kThreads[0] - 1];
    size_t space = static_cast<size_t>(a.chunk_bytes() * most) + kAlignment;
    memory.reset(new char[space]);
    void* aligned = memory.get();
    a.chunks = static_cast<char*>(std::align(kAlignment, space - kAlignment, aligned, space));
  }
};

void run(const Images& of, int number) {
  const Operands operands(of, static_cast<uint64_t>(number) + 6000);
  const Oracle oracle(of, operands.params, operands.target);
  const DType compute = of.dtype == DType::f64 ? DType::f64 : DType::f32;
  const bool backward = number % 3 == 2, reduced = number % 3 == 1;
  const double factor = 0.5;
  Random random(94);
  Array loss, per_sample, total, gradient, upstream;
  if (reduced) {
    per_sample = Array(compute, of.sizes, Order::by_sample), total = Array(compute, of.sizes, Order::one);
  } else if (!backward) {
    loss = Array(compute, of.sizes, Order::rows);
  }
  const Order gradient_order = static_cast<Order>((number + 1) % kDenseOrders);
  if (reduced || backward) gradient = Array(of.dtype, of.sizes, gradient_order, operands.params.outer_size);
  if (backward) upstream = Array(compute, of.sizes, Order::by_sample).fill(random, -1, 1);

  Call<DiscretizedLogisticMixture> call(of.sizes, of.dtype == DType::f64);
  DiscretizedLogisticMixture& a = call.arguments;
  call.input(a.params, operands.params).input(a.target, operands.target).input(a.grad_loss, upstream);
  call.output(a.grad, gradient);
  if (!backward) call.loss(a.loss, loss, per_sample, total, factor);
  a.num_mixtures = of.num_mixtures;
  a.channels = of.channels;
  a.levels = oracle.levels();
  a.factor = factor;
  const Chunks chunks(a);
  call.run(unit().discretized_logistic_mixture);

  const auto value = [&](int64_t i, int64_t) { return oracle.loss(i, -1).value; };
  expect(loss, compute, "loss", value);
  expect(per_sample, compute, "sums of samples", value);
  expect(total, compute, "total", [&](int64_t i, int64_t k) { return value(i, k) * Number(factor); });
  expect(gradient, compute, "gradient", [&](int64_t i, int64_t k) {
    return oracle.loss(i, k).slope * Number(factor * (backward ? upstream.get(i) : 1));
  });
}

NATIVE_TEST(discretized_logistic_mixture) {
  constexpr int64_t kPixels = DiscretizedLogisticMixture::kPixels;
  const Sizes shapes[] = {{1, 1},       {0, 4},           {3, 0},           {3, 5, 7},
                          {2, kPixels}, {1, kPixels - 1}, {1, kPixels + 1}, {6, 40, 9}};
  int number = 0;
  for (const Sizes& sizes : shapes)
    for (const DType dtype : {DType::f32, DType::f64, DType::bf16, DType::f16})
      for (const int64_t channels : {1, 3}) {
        const bool bytes = number % 5 < 3;
        const Order order = static_cast<Order>(number % kDenseOrders);
        run({sizes, dtype, bytes ? DType::u8 : dtype, 1 + number % 3, channels, bytes && number % 2 ? 5 : 8, order},
            number);
        ++number;
      }
  run({{3, kBlock + 200}, DType::f32, DType::u8, 1, 1, 8, Order::contiguous}, 1);
  run({{5, kBlock / 2}, DType::f32, DType::u8, 2, 1, 8, Order::every_other}, 2);
}

}  // namespace
}  // namespace native
