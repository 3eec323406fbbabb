// Mixtures of diagonal Gaussians: of a prior with learned weights, and of the posteriors of a batch, whose dimensions
// are mixtures of their own, too.
#include <memory>
#include <new>

#include "scales.h"

namespace native {
namespace {

constexpr double kHalfLogTwoPi = 0.91893853320467274178;

struct Sizing {
  int64_t points, components, dims;
};

struct Density {
  Sizing n;
  const Form& form;
  bool by_dimension, stratified;
  double log_own = 0, log_next = 0, log_weight = 0;
  Array z, mu, scale, log_weights;

  Density(const Sizing& n, const Form& form, DType dtype, int number, bool by_dimension)
      : n(n), form(form), by_dimension(by_dimension), stratified(by_dimension && n.points == n.components) {
    Random random(static_cast<uint64_t>(number) + 7000);
    const auto order = [&](int operand) { return static_cast<Order>((number + operand) % kDenseOrders); };
    z = Array(dtype, {n.points, n.dims}, order(0)).fill(random, -1, 1);
    mu = Array(dtype, {n.components, n.dims}, order(1)).fill(random, -1, 1);
    scale = Array(dtype, {n.components, n.dims}, order(2)).fill(random, form.scale.low, form.scale.high);
    if (!by_dimension && number % 2) log_weights = Array(dtype, {n.components}, order(3)).fill(random, -1, 1);
    if (stratified) log_own = -0.7, log_next = 0.4;
    if (by_dimension) log_weight = -3.25;
  }

  Number count_of(int64_t i, int64_t k) const {
    double log_count = 0;
    if (stratified && k == i) log_count += log_own;
    if (stratified && k == (i + 1) % n.components) log_count += log_next;
    return log_count;
  }
  Number log_weight_of(int64_t k) const {
    if (by_dimension) return 0;
    if (!log_weights) return -std::log(static_cast<double>(n.components));
    Number sum = 0;
    for (int64_t j = 0; j < n.components; ++j) sum = sum + exp(Number(log_weights.get(j)));
    return Number(log_weights.get(k)) - log(sum);
  }

  Dual sigma(int64_t k, int64_t d) const { return form.sigma(Dual(Number(scale.get(k * n.dims + d)), Number(1))); }
  // (z - mu) / sigma.
  Number distance(int64_t i, int64_t k, int64_t d) const {
    return (Number(z.get(i * n.dims + d)) - Number(mu.get(k * n.dims + d))) / sigma(k, d).value;
  }
  Number log_density(int64_t i, int64_t k, int64_t d) const {
    const Number t = distance(i, k, d);
    return Number(-0.5) * t * t - log(sigma(k, d).value) - Number(kHalfLogTwoPi);
  }
};

// The densities of every point under every component, by dimension and of all, and the logarithms of their sums.
struct Answers {
  std::vector<Number> exponents, all, log_joint, log_product, by_dimension;

  Answers(const Density& of, bool known) {
    const auto [points, components, dims] = of.n;
    if (!known) return;
    std::vector<Number> log_weights;
    for (int64_t k = 0; k < components; ++k) log_weights.push_back(of.log_weight_of(k));
    for (int64_t i = 0; i < points; ++i) {
      Number joint = 0, product = 0;
      std::vector<Number> sums(static_cast<size_t>(dims));
      for (int64_t k = 0; k < components; ++k) {
        Number exponent = log_weights[static_cast<size_t>(k)] + of.count_of(i, k);
        for (int64_t d = 0; d < dims; ++d) {
          const Number one = of.log_density(i, k, d);
          exponents.push_back(one + of.count_of(i, k));
          exponent = exponent + one;
          sums[static_cast<size_t>(d)] = sums[static_cast<size_t>(d)] + exp(exponents.back());
        }
        all.push_back(exponent);
        joint = joint + exp(exponent);
      }
      log_joint.push_back(log(joint) + Number(of.log_weight));
      for (const Number& sum : sums) {
        by_dimension.push_back(log(sum));
        product = product + by_dimension.back() + Number(of.log_weight);
      }
      log_product.push_back(product);
    }
  }
};

Matrix matrix_of(Array& array) {
  Matrix matrix;
  if (!array) return matrix;
  matrix.data = array.data();
  matrix.dtype = array.dtype;
  Shape shape;
  shape.rank = static_cast<int>(array.sizes.size());
  std::copy(array.sizes.begin(), array.sizes.end(), shape.sizes);
  Operand operand;
  operand.view = &matrix;
  std::copy(array.strides.begin(), array.strides.end(), operand.strides);
  matrix.space = collapse(shape, 0, &operand, 1, false);
  return matrix;
}

constexpr std::align_val_t kAlignment{64};

struct Delete {
  void operator()(void* memory) const { ::operator delete(memory, kAlignment); }
};

template <class Arguments>
void run(void (*kernel)(const Arguments&), int64_t (*workspace)(const Arguments&), Arguments& a, int threads) {
  a.threads = threads;
  const std::unique_ptr<void, Delete> memory(::operator new(static_cast<size_t>(workspace(a)), kAlignment));
  a.workspace = memory.get();
  kernel(a);
}

void set(Mixture& a, Density& of, DType compute, Array& sums) {
  a.f64 = compute == DType::f64;
  a.points = of.n.points, a.components = of.n.components, a.dims = of.n.dims;
  a.z = matrix_of(of.z), a.mu = matrix_of(of.mu), a.scale = matrix_of(of.scale);
  a.log_weights = matrix_of(of.log_weights);
  a.options = of.form.options;
  a.by_dimension = of.by_dimension, a.stratified = of.stratified;
  a.log_own = of.log_own, a.log_next = of.log_next;
  a.sums = sums.data();
}

void check_mixture(const Sizing& n, const Form& form, DType dtype, int number, bool by_dimension) {
  const DType compute = dtype == DType::f64 ? DType::f64 : DType::f32;
  Density of(n, form, dtype, number, by_dimension);
  const bool known = n.points * n.components * n.dims < 50000;
  const Answers answers(of, known);
  const std::vector<const Array*> inputs = [&] {
    std::vector<const Array*> all = {&of.z, &of.mu, &of.scale};
    if (of.log_weights) all.push_back(&of.log_weights);
    return all;
  }();
  const Order contiguous = Order::contiguous;
  Array sums(compute, {n.points, (by_dimension ? n.dims : 0) + 2}, contiguous);
  Array joint(compute, {n.points}, contiguous), product;
  if (by_dimension) product = Array(compute, {n.points}, contiguous);
  MixtureForward forward;
  set(forward, of, compute, sums);
  forward.log_weight = of.log_weight;
  forward.log_joint = joint.data();
  forward.log_product = by_dimension ? product.data() : nullptr;
  std::vector<Array*> outputs = {&sums, &joint};
  if (by_dimension) outputs.push_back(&product);
  on_threads(inputs, outputs, [&](int threads) { run(unit().mixture, unit().mixture_workspace, forward, threads); });
  if (known) {
    expect(joint, compute, "log_joint", [&](int64_t i, int64_t) { return answers.log_joint[static_cast<size_t>(i)]; });
    expect(product, compute, "log_product",
           [&](int64_t i, int64_t) { return answers.log_product[static_cast<size_t>(i)]; });
  }

  Random random(93);
  Array of_joint = Array(compute, {n.points}, Order::every_other).fill(random, -1, 1), of_product;
  if (by_dimension) of_product = Array(compute, {n.points}, contiguous).fill(random, -1, 1);
  const auto like = [&](const Array& operand, int at) {
    return Array(dtype, operand.sizes, static_cast<Order>((number + at) % kDenseOrders));
  };
  Array of_z = like(of.z, 1), of_mu = like(of.mu, 2), of_scale = like(of.scale, 3), of_weights;
  if (of.log_weights) of_weights = like(of.log_weights, 0);
  sums.keep();
  MixtureBackward backward;
  set(backward, of, compute, sums);
  backward.grad_joint = matrix_of(of_joint), backward.grad_product = matrix_of(of_product);
  backward.grad_z = matrix_of(of_z), backward.grad_mu = matrix_of(of_mu), backward.grad_scale = matrix_of(of_scale);
  backward.grad_log_weights = matrix_of(of_weights);
  std::vector<Array*> gradients = {&of_z, &of_mu, &of_scale};
  if (of_weights) gradients.push_back(&of_weights);
  std::vector<const Array*> read = inputs;
  read.insert(read.end(), {&sums, &of_joint});
  if (by_dimension) read.push_back(&of_product);
  on_threads(read, gradients,
             [&](int threads) { run(unit().mixture_backward, unit().mixture_backward_workspace, backward, threads); });

  if (!known) return;
  // How much the log sums of point i follow the density of component k, in one dimension and in all.
  const auto share = [&](int64_t i, int64_t k) {
    const size_t at = static_cast<size_t>(i * n.components + k);
    const Number log_sum = answers.log_joint[static_cast<size_t>(i)] - Number(of.log_weight);
    return Number(of_joint.get(i)) * exp(answers.all[at] - log_sum);
  };
  std::vector<Number> shares, weights;
  for (int64_t i = 0; i < n.points; ++i)
    for (int64_t k = 0; k < n.components; ++k) {
      shares.push_back(share(i, k));
      for (int64_t d = 0; d < n.dims; ++d) {
        Number weight = shares.back();
        if (by_dimension) {
          const size_t at = static_cast<size_t>((i * n.components + k) * n.dims + d);
          const Number& log_sum = answers.by_dimension[static_cast<size_t>(i * n.dims + d)];
          weight = weight + Number(of_product.get(i)) * exp(answers.exponents[at] - log_sum);
        }
        weights.push_back(weight);
      }
    }
  const auto weight = [&](int64_t i, int64_t k, int64_t d) {
    return weights[static_cast<size_t>((i * n.components + k) * n.dims + d)];
  };
  expect(of_z, compute, "gradient of z", [&](int64_t at, int64_t) {
    const int64_t i = at / n.dims, d = at % n.dims;
    Number sum = 0;
    for (int64_t k = 0; k < n.components; ++k)
      sum = sum - weight(i, k, d) * of.distance(i, k, d) / of.sigma(k, d).value;
    return sum;
  });
  expect(of_mu, compute, "gradient of mu", [&](int64_t at, int64_t) {
    const int64_t k = at / n.dims, d = at % n.dims;
    Number sum = 0;
    for (int64_t i = 0; i < n.points; ++i) sum = sum + weight(i, k, d) * of.distance(i, k, d);
    return sum / of.sigma(k, d).value;
  });
  expect(of_scale, compute, "gradient of the scale", [&](int64_t at, int64_t) {
    const int64_t k = at / n.dims, d = at % n.dims;
    const Dual sigma = of.sigma(k, d);
    Number sum = 0;
    for (int64_t i = 0; i < n.points; ++i) {
      const Number t = of.distance(i, k, d);
      sum = sum + weight(i, k, d) * (t * t - Number(1));
    }
    return sum * (sigma.slope / sigma.value);
  });
  expect(of_weights, compute, "gradient of the weights", [&](int64_t k, int64_t) {
    const Number of_one = exp(of.log_weight_of(k));
    Number sum = 0;
    for (int64_t i = 0; i < n.points; ++i)
      sum = sum + shares[static_cast<size_t>(i * n.components + k)] - Number(of_joint.get(i)) * of_one;
    return sum;
  });
}

void for_each_mixture(bool by_dimension) {
  // Of one register and of several, of runs of dimensions, and large enough for five threads: points in tiles, groups
  // of points, parts of the components.
  const Sizing sizes[] = {{1, 1, 1},     {3, 5, 2},     {17, 16, 3},  {16, 17, 1},  {0, 3, 2},
                          {3, 2, 0},     {9, 9, 5},     {5, 300, 17}, {128, 16, 3}, {128, 384, 1},
                          {80, 160, 12}, {320, 16, 33}, {128, 400, 3}};
  int number = 0;
  const std::string name = progress().where;
  for (const Sizing& n : sizes)
    for (const DType dtype : {DType::f32, DType::f64, DType::bf16, DType::f16}) {
      const bool large = n.points * n.components * n.dims > 5000;
      if (large && static_cast<int>(dtype) != number % 2) continue;
      const Form form(scales()[static_cast<size_t>(number) % scales().size()], number % kModifiers);
      progress().where = name + " case " + std::to_string(number);
      check_mixture(n, form, dtype, number++, by_dimension);
    }
}

NATIVE_TEST(mixture) { for_each_mixture(false); }
NATIVE_TEST(mixture_by_dimension) { for_each_mixture(true); }

}  // namespace
}  // namespace native
