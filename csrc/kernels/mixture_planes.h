// The operands of a mixture of Gaussians as its sweeps want them: one array a dimension, over all components, computed
// from the raw scales once.
#pragma once
#include "kernels/blocks.h"
#include "kernels/mixture_sweeps.h"
#include "kernels/scale_forms.h"

namespace {

constexpr int64_t kPointsOfTile = 16;

// Hands out aligned arrays of the workspace; from a null pointer, it only counts.
class Arrays {
 public:
  explicit Arrays(void* memory) : start_(static_cast<char*>(memory)) {}

  template <class T>
  T* take(int64_t count) {
    char* taken = start_ + used_;
    used_ += (count * static_cast<int64_t>(sizeof(T)) + 63) / 64 * 64;
    return start_ ? reinterpret_cast<T*>(taken) : nullptr;
  }
  int64_t used() const { return used_; }

 private:
  char* start_;
  int64_t used_ = 0;
};

FASTVAE_INLINE int64_t whole_registers(int64_t count) { return (count + kRegister - 1) / kRegister * kRegister; }

// Components that a tile covers: with few points, all its arrays stay in L1, and its gradients in L2.
FASTVAE_INLINE int64_t tile_width(int64_t dims) { return dims <= 128 ? 256 : 128; }

// sigma of every component and dimension, and the constants of its density: of one dimension, and of all together with
// the logarithm of the weight. Constants are less than the largest, by dimension `most` and of all `most_of_all`.
template <class T>
struct Planes {
  int64_t components, dims, stride;
  T *mu, *inverse, *constant, *constant_of_all;
  double *most, *exact;  // the sums that become constant_of_all
  double most_of_all;

  Planes(Arrays& arrays, int64_t components, int64_t dims)
      : components(components), dims(dims), stride(whole_registers(components)) {
    mu = arrays.take<T>(dims * stride);
    inverse = arrays.take<T>(dims * stride);
    constant = arrays.take<T>(dims * stride);
    constant_of_all = arrays.take<T>(stride);
    most = arrays.take<double>(dims);
    exact = arrays.take<double>(stride);
  }
};

// A row of a matrix as contiguous T: in place, else copied.
template <class T>
FASTVAE_INLINE const T* row_of(const Matrix& matrix, int64_t row, int64_t columns, T* buffer) {
  return load<T>(matrix, matrix.space, Range(matrix.space, row * columns, columns), buffer);
}

// factor / |sigma|, bounded: times a distance that is no number near the ends of the range it is finite.
template <class T>
FASTVAE_INLINE T over_sigma(double factor, T sigma) {
  const double most = sizeof(T) == 4 ? 0x1p100 : 0x1p800;
  const double quotient = factor / static_cast<double>(magnitude(sigma));
  return static_cast<T>(quotient > most ? most : quotient);
}

// 1 / sigma and the constants of one dimension's densities, without the weight.
template <class T, class Form>
void inverses_and_constants(int64_t n, const ScaleLimits<T> limits, const T* raw, T* inverse, T* constant) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const Scale<T> q = Form::at(clamped(raw[i], limits), limits);
    inverse[i] = over_sigma(kRootHalfLog2E, q.sigma);
    constant[i] = (-Form::log_sigma(q) - T(kHalfLogTwoPi)) * T(kLog2E);
  }
}

// Components first .. last, a register of them at a time, so that the arrays are written in whole lines.
template <class T>
void fill_components(const Mixture& a, const Planes<T>& p, int64_t first, int64_t last) {
  const ScaleLimits<T> limits = scale_limits<T>(a.options);
  auto loop = inverses_and_constants<T, Logvar::Unfloored>;
  with_form(a.options, [&](auto form) { loop = inverses_and_constants<T, decltype(form)>; });
  constexpr int64_t kColumns = 32;
  T means[kRegister][kColumns], inverses[kRegister][kColumns], constants[kRegister][kColumns];
  for (int64_t k = first; k < last; k += kRegister)
    for (int64_t d = 0; d < p.dims; d += kColumns) {
      const int64_t n = smaller(kColumns, p.dims - d), count = smaller(kRegister, last - k);
      for (int64_t j = 0; j < count; ++j) {
        T buffer[kColumns];
        const int64_t at = (k + j) * p.dims + d;
        const T* mu = load<T>(a.mu, a.mu.space, Range(a.mu.space, at, n), means[j]);
        if (mu != means[j]) copy_bytes(means[j], mu, static_cast<size_t>(n) * sizeof(T));
        const T* raw = load<T>(a.scale, a.scale.space, Range(a.scale.space, at, n), buffer);
        loop(n, limits, raw, inverses[j], constants[j]);
      }
      for (int64_t i = 0; i < n; ++i) {
        const int64_t to = (d + i) * p.stride + k;
        for (int64_t j = 0; j < count; ++j) {
          p.mu[to + j] = means[j][i];
          p.inverse[to + j] = inverses[j][i];
          p.constant[to + j] = constants[j][i];
        }
      }
    }
}

// The logarithms, to base 2, of the normalized weights. They are 1 each where dimensions are mixtures of their own.
template <class T>
void fill_log_weights(const Mixture& a, double* log_weights) {
  const double equal = a.by_dimension ? 0 : -libm::log2(static_cast<double>(a.components));
  for (int64_t k = 0; k < a.components; ++k) log_weights[k] = equal;
  if (!a.log_weights) return;
  T one[1];
  double largest = -kInfinity<double>, sum = 0;
  for (int64_t k = 0; k < a.components; ++k) {
    log_weights[k] = static_cast<double>(*row_of(a.log_weights, k, 1, one)) * kLog2E;
    largest = log_weights[k] > largest ? log_weights[k] : largest;
  }
  for (int64_t k = 0; k < a.components; ++k) sum += libm::exp2(log_weights[k] - largest);
  const double log_sum = largest + libm::log2(sum);
  for (int64_t k = 0; k < a.components; ++k) log_weights[k] -= log_sum;
}

// The largest of the constants, or 0 where that is infinite.
FASTVAE_INLINE double finite_largest(int64_t count, const double* constants) {
  const double largest = largest_of(count, constants);
  return magnitude(largest) <= Largest<double>::value ? largest : 0;
}

template <class T>
void fill(const Mixture& a, Planes<T>& p) {
  parallel_for(p.stride / kRegister, a.threads, 1 + 512 / (1 + p.dims), [&](int64_t first, int64_t last, int64_t) {
    fill_components(a, p, first * kRegister, smaller(last * kRegister, p.components));
  });
  fill_log_weights<T>(a, p.exact);
  for (int64_t k = p.components; k < p.stride; ++k) p.exact[k] = -kInfinity<double>;
  for (int64_t d = 0; d < p.dims; ++d) {
    T* constant = p.constant + d * p.stride;
    for (int64_t k = p.components; k < p.stride; ++k) {
      p.mu[d * p.stride + k] = T(0);
      p.inverse[d * p.stride + k] = T(0x1p-100);
      constant[k] = -kInfinity<T>;
    }
    for (int64_t k = 0; k < p.components; ++k) p.exact[k] += static_cast<double>(constant[k]);
    const T largest = largest_of(p.stride, constant), most = magnitude(largest) <= Largest<T>::value ? largest : T(0);
    for (int64_t k = 0; k < p.stride; ++k) constant[k] -= most;
    p.most[d] = static_cast<double>(most);
  }
  p.most_of_all = finite_largest(p.stride, p.exact);
  for (int64_t k = 0; k < p.stride; ++k) p.constant_of_all[k] = static_cast<T>(p.exact[k] - p.most_of_all);
}

// The components begin .. begin + size of one point and dimension, whose own component and the next may count for more
// or less.
template <class T>
class Strata {
 public:
  explicit Strata(const Mixture& a)
      : stratified_(a.stratified),
        components_(a.components),
        own_(static_cast<T>(a.log_own * kLog2E)),
        next_(static_cast<T>(a.log_next * kLog2E)) {}

  // Adds what they count for to exponents in place.
  FASTVAE_INLINE void add(int64_t point, int64_t begin, int64_t size, T* exponents) const {
    if (!stratified_) return;
    const int64_t own = point - begin, next = (point + 1) % components_ - begin;
    if (own >= 0 && own < size) exponents[own] += own_;
    if (next >= 0 && next < size) exponents[next] += next_;
  }

  // The constants, or a copy of them with what they count for.
  FASTVAE_INLINE const T* apply(int64_t point, int64_t begin, int64_t size, const T* constants, T* buffer) const {
    if (!stratified_) return constants;
    const int64_t own = point - begin, next = (point + 1) % components_ - begin;
    if ((own < 0 || own >= size) && (next < 0 || next >= size)) return constants;
    for (int64_t k = 0; k < size; ++k) buffer[k] = constants[k];
    add(point, begin, size, buffer);
    return buffer;
  }

 private:
  bool stratified_;
  int64_t components_;
  T own_, next_;
};

// `sums` has a column for each dimension where those are wanted, and two for all of them.
FASTVAE_INLINE int64_t columns_of(const Mixture& a) { return (a.by_dimension ? a.dims : 0) + 2; }

}  // namespace
