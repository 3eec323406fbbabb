// The gradients of the log sums of a mixture. One exponential for each density that has a gradient: the logarithms of
// the sums, which forward saved, make a weight of it at once.
#pragma once
#include "kernels/mixture_forward.h"

namespace {

// How points and components are shared out: `parts` of each, and `groups` of points, each of which has gradients of the
// components of its own. In each of `parts` steps the units (a group and a part of the components) take another part of
// the points, no two the same: so no addition waits for another, and their order depends on the shape alone.
struct Shares {
  int64_t points, registers, parts, groups;

  explicit Shares(const Mixture& a) : points(a.points), registers(whole_registers(a.components) / kRegister) {
    constexpr int64_t kMost = 32;
    parts = at_least_one(smaller(smaller((a.components + 128) / 256, a.points / 64), kMost));
    groups = smaller(a.points / (2 * at_least_one(a.components)), a.points / (64 * parts));
    groups = at_least_one(smaller(groups, kMost / parts));
  }

  int64_t units() const { return groups * parts; }
  int64_t first_point(int64_t group, int64_t part) const { return points * (group * parts + part) / units(); }
  int64_t first_component(int64_t part) const { return registers * part / parts * kRegister; }

 private:
  static FASTVAE_INLINE int64_t at_least_one(int64_t count) { return count < 1 ? 1 : count; }
};

// A gradient while it is summed: in its own memory where that is contiguous T, else in an array that `store` rounds.
template <class T>
struct Sums {
  T* values;
  bool staged;

  Sums(const Matrix& gradient, int64_t count, Arrays& arrays) {
    const bool own = gradient && count && gradient.dtype == kCompute<T> && gradient.layout == Layout::contiguous;
    values = own ? static_cast<T*>(gradient.data) : arrays.take<T>(count);
    staged = !own;
  }
};

// The rows of gradients are no power of two apart: a processor takes addresses 4 KB apart for the same.
template <class T>
struct GradientTile : Tile<T> {
  int64_t row, dims;
  T* gradients;

  GradientTile(Arrays& arrays, int64_t dims, int64_t stride)
      : Tile<T>(arrays, dims, stride), row(this->width + kRegister), dims(dims) {
    gradients = arrays.take<T>(2 * dims * row);
  }

  FASTVAE_INLINE T* to_mu(int64_t d) const { return gradients + 2 * d * row; }
  FASTVAE_INLINE T* to_scale(int64_t d) const { return to_mu(d) + row; }
};

template <class T>
struct BackwardWorkspace {
  Planes<T> planes;
  Shares shares;
  T *joint, *product;
  Sums<T> to_z, to_mu, to_scale;
  T *more_to_mu, *more_to_scale, *to_weights;  // of the groups but the first; of all groups
  Arrays tiles;
  int64_t tile_bytes;

  explicit BackwardWorkspace(const MixtureBackward& a) : BackwardWorkspace(a, Arrays(a.workspace)) {}

  GradientTile<T> tile(int64_t worker) const {
    Arrays mine = tiles;
    mine.take<char>(worker * tile_bytes);
    return GradientTile<T>(mine, planes.dims, planes.stride);
  }
  int64_t bytes(const Mixture& a) const { return tiles.used() + smaller(a.threads, shares.units()) * tile_bytes; }

  // Of one group.
  T* to_mu_of(int64_t group) const { return group ? more_to_mu + (group - 1) * size_ : to_mu.values; }
  T* to_scale_of(int64_t group) const { return group ? more_to_scale + (group - 1) * size_ : to_scale.values; }

 private:
  BackwardWorkspace(const MixtureBackward& a, Arrays arrays)
      : planes(arrays, a.components, a.dims),
        shares(a),
        joint(arrays.take<T>(a.points)),
        product(arrays.take<T>(a.points)),
        to_z(a.grad_z, a.points * a.dims, arrays),
        to_mu(a.grad_mu, a.components * a.dims, arrays),
        to_scale(a.grad_scale, a.components * a.dims, arrays),
        more_to_mu(arrays.take<T>((shares.groups - 1) * a.components * a.dims)),
        more_to_scale(arrays.take<T>((shares.groups - 1) * a.components * a.dims)),
        to_weights(arrays.take<T>(a.grad_log_weights ? shares.groups * planes.stride : 0)),
        tiles(arrays),
        size_(a.components * a.dims) {
    Arrays counted(nullptr);
    GradientTile<T>(counted, planes.dims, planes.stride);
    tile_bytes = counted.used();
  }

  int64_t size_;
};

// Points first .. last against n components from k on.
template <class T>
void add_tile(const MixtureBackward& a, const BackwardWorkspace<T>& w, const Strata<T>& strata, GradientTile<T>& tile,
              int64_t group, int64_t first, int64_t last, int64_t k, int64_t n) {
  const Planes<T>& p = w.planes;
  const int64_t columns = columns_of(a), width = tile.width;
  const T* sums = static_cast<const T*>(a.sums);
  const bool by_dimension = a.by_dimension && a.grad_product;
  clear(tile.gradients, 2 * p.dims * tile.row);
  for (int64_t i = first; i < last; i += kPointsOfTile) {
    const int64_t count = smaller(kPointsOfTile, last - i);
    tile.begin(a, p, i, count, k, n);
    for (int64_t d = 0; d < p.dims; ++d) {
      const T *mu = p.mu + d * p.stride + k, *inverse = p.inverse + d * p.stride + k;
      tile.add_dimension(d, count, n, mu, inverse);
      tile.end_dimension(d, p.dims, count);
    }
    for (int64_t r = 0; r < count; ++r) {
      const T *base = sums + (i + r + 1) * columns - 2, *sum = base + 1;
      T* exponents = tile.exponents + r * width;
      strata.add(i + r, k, n, exponents);
      to_weights(n, *base, w.joint[i + r] / *sum, exponents);
      if (!a.grad_log_weights) continue;
      T* of_components = w.to_weights + group * p.stride + k;
      for (int64_t j = 0; j < n; ++j) of_components[j] += exponents[j];
    }
    for (int64_t d = 0; d < p.dims; ++d) {
      const T *mu = p.mu + d * p.stride + k, *inverse = p.inverse + d * p.stride + k;
      const T* constant = p.constant + d * p.stride + k;
      T *to_mu = tile.to_mu(d), *to_scale = tile.to_scale(d);
      int64_t r = 0;
      for (; !by_dimension && r + kAtOnce <= count; r += kAtOnce) {
        const T z[kAtOnce] = {tile.z[r][d], tile.z[r + 1][d], tile.z[r + 2][d], tile.z[r + 3][d]};
        T to_z[kAtOnce] = {};
        add_gradients(n, z, mu, inverse, tile.exponents + r * width, width, to_mu, to_scale, to_z);
        for (int64_t j = 0; j < kAtOnce; ++j) w.to_z.values[(i + r + j) * p.dims + d] += to_z[j];
      }
      for (; r < count; ++r) {
        const T *weights = tile.exponents + r * width, z = tile.z[r][d];
        T& to_z = w.to_z.values[(i + r) * p.dims + d];
        if (by_dimension) {
          const T sum = sums[(i + r) * columns + d];
          const bool small = sum < T(0);
          const T base = small ? sum : T(0), factor = small ? w.product[i + r] : w.product[i + r] / sum;
          const T* c = strata.apply(i + r, k, n, constant, tile.constants);
          to_z += add_gradients(n, z, mu, inverse, weights, c, base, factor, to_mu, to_scale);
        } else {
          to_z += add_gradients(n, z, mu, inverse, weights, to_mu, to_scale);
        }
      }
    }
  }
  T *to_mu = w.to_mu_of(group), *to_scale = w.to_scale_of(group);
  for (int64_t j = 0; j < smaller(n, p.components - k); ++j)
    for (int64_t d = 0; d < p.dims; ++d) {
      to_mu[(k + j) * p.dims + d] += tile.to_mu(d)[j];
      to_scale[(k + j) * p.dims + d] += tile.to_scale(d)[j];
    }
}

template <class T>
void add_all(const MixtureBackward& a, const BackwardWorkspace<T>& w, const Strata<T>& strata) {
  const Shares& shares = w.shares;
  const int64_t units = shares.units(), workers = useful_threads(a, units);
  for (int64_t step = 0; step < shares.parts; ++step)
    parallel_for(workers, static_cast<int>(workers), 1, [&](int64_t begin, int64_t end, int64_t) {
      for (int64_t worker = begin; worker < end; ++worker) {
        GradientTile<T> tile = w.tile(worker);
        for (int64_t unit = units * worker / workers; unit < units * (worker + 1) / workers; ++unit) {
          const int64_t group = unit / shares.parts, part = unit % shares.parts;
          const int64_t of_points = (part + step) % shares.parts, stop = shares.first_component(part + 1);
          for (int64_t k = shares.first_component(part); k < stop; k += tile.width)
            add_tile(a, w, strata, tile, group, shares.first_point(group, of_points),
                     shares.first_point(group, of_points + 1), k, smaller(tile.width, stop - k));
        }
      }
    });
}

// From the sums of a tile to the gradients of mu and of the raw scale, n of one component.
template <class T, class Form>
void finish_parameters(int64_t n, const ScaleLimits<T> limits, const T* raw, T* to_mu, T* to_scale) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const Scale<T> q = Form::at(clamped(raw[i], limits), limits);
    to_mu[i] *= over_sigma(1 / kRootHalfLog2E, q.sigma);
    to_scale[i] = clamp_mask(raw[i], limits, Form::to_raw(to_scale[i] * T(kLn2), q, limits));
  }
}

template <class T>
void store_sums(const Matrix& gradient, const Sums<T>& sums, int64_t begin, int64_t count) {
  const Destination<T> from{sums.values + begin, sums.staged};
  store<T>(gradient, gradient.space, Range(gradient.space, begin, count), from);
}

template <class T>
void finish(const MixtureBackward& a, const BackwardWorkspace<T>& w) {
  const Planes<T>& p = w.planes;
  const ScaleLimits<T> limits = scale_limits<T>(a.options);
  const int64_t size = p.components * p.dims;
  void (*finish_chunk)(int64_t, ScaleLimits<T>, const T*, T*, T*) = nullptr;
  with_form(a.options, [&](auto form) { finish_chunk = finish_parameters<T, decltype(form)>; });
  T buffer[kChunk];
  for (int64_t at = 0; at < size; at += kChunk) {
    const int64_t n = smaller(kChunk, size - at);
    T *to_mu = w.to_mu.values + at, *to_scale = w.to_scale.values + at;
    for (int64_t group = 1; group < w.shares.groups; ++group)
      for (int64_t i = 0; i < n; ++i) {
        to_mu[i] += w.to_mu_of(group)[at + i];
        to_scale[i] += w.to_scale_of(group)[at + i];
      }
    finish_chunk(n, limits, load<T>(a.scale, a.scale.space, Range(a.scale.space, at, n), buffer), to_mu, to_scale);
    store_sums(a.grad_mu, w.to_mu, at, n);
    store_sums(a.grad_scale, w.to_scale, at, n);
  }
  for (int64_t i = 0; i < a.points && p.dims; ++i) {
    for (int64_t d = 0; d < p.dims; ++d) w.to_z.values[i * p.dims + d] *= T(-2 * kLn2);
    store_sums(a.grad_z, w.to_z, i * p.dims, p.dims);
  }
}

// The weights are normalized: what all their gradients have in common falls out.
template <class T>
void finish_weights(const MixtureBackward& a, const BackwardWorkspace<T>& w) {
  if (!a.grad_log_weights) return;
  double upstream = 0;
  for (int64_t i = 0; i < a.points; ++i) upstream += static_cast<double>(w.joint[i]);
  fill_log_weights<T>(a, w.planes.exact);
  for (int64_t k = 0; k < a.components; ++k) {
    double sum = 0;
    for (int64_t group = 0; group < w.shares.groups; ++group)
      sum += static_cast<double>(w.to_weights[group * w.planes.stride + k]);
    T gradient[1] = {static_cast<T>(sum - upstream * libm::exp2(w.planes.exact[k]))};
    const Range at(a.grad_log_weights.space, k, 1);
    scatter_as<T>(a.grad_log_weights, a.grad_log_weights.space, at, 0, gradient);
  }
}

template <class T>
void read_upstream(const Matrix& gradient, int64_t points, T* values) {
  clear(values, points);
  for (int64_t i = 0; gradient && i < points; i += kBlock) {
    const int64_t n = smaller(kBlock, points - i);
    const T* read = load<T>(gradient, gradient.space, Range(gradient.space, i, n), values + i);
    if (read != values + i) copy_bytes(values + i, read, static_cast<size_t>(n) * sizeof(T));
  }
}

template <class T>
void mixture_backward_of(const MixtureBackward& a) {
  BackwardWorkspace<T> workspace(a);
  fill(a, workspace.planes);
  read_upstream(a.grad_joint, a.points, workspace.joint);
  read_upstream(a.grad_product, a.points, workspace.product);
  clear(workspace.to_z.values, a.points * a.dims);
  clear(workspace.to_mu_of(0), a.components * a.dims);
  clear(workspace.to_scale_of(0), a.components * a.dims);
  clear(workspace.more_to_mu, (workspace.shares.groups - 1) * a.components * a.dims);
  clear(workspace.more_to_scale, (workspace.shares.groups - 1) * a.components * a.dims);
  if (a.grad_log_weights) clear(workspace.to_weights, workspace.shares.groups * workspace.planes.stride);
  add_all(a, workspace, Strata<T>(a));
  finish(a, workspace);
  finish_weights(a, workspace);
}

}  // namespace
