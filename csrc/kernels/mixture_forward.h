// Logarithms of the sums of densities over the components of a mixture: of all dimensions together and, for
// total correlation, of each dimension alone. Tiles of points and components stay in L1.
#pragma once
#include "kernels/mixture_planes.h"

namespace {

constexpr int64_t kDimsOfRun = 16;

// Terms that are lost, below the least power of two, change no sum of at least this.
template <class T>
constexpr T kLeastSum = T(0x1p-60);

template <class T>
void clear(T* values, int64_t count) {
  if (count) clear_bytes(values, static_cast<size_t>(count) * sizeof(T));
}

// What a thread computes a tile in: exponents of all dimensions for each point and, because rounding grows with what is
// added to, those of kDimsOfRun before they join them; one row of constants; points as T.
template <class T>
struct Tile {
  int64_t width;
  T *exponents, *run, *constants, *points, *logarithms;
  const T* z[kPointsOfTile];

  Tile(Arrays& arrays, int64_t dims, int64_t stride) : width(smaller(tile_width(dims), stride)) {
    exponents = arrays.take<T>(kPointsOfTile * width);
    run = arrays.take<T>(kPointsOfTile * width);
    constants = arrays.take<T>(width);
    points = arrays.take<T>(kPointsOfTile * dims);
    logarithms = arrays.take<T>(dims);
  }

  // Reads points, and begins the exponents of components with their constants.
  void begin(const Mixture& a, const Planes<T>& p, int64_t first, int64_t count, int64_t component, int64_t n) {
    for (int64_t r = 0; r < count; ++r) {
      if (p.dims) z[r] = row_of(a.z, first + r, p.dims, points + r * p.dims);
      copy_bytes(exponents + r * width, p.constant_of_all + component, static_cast<size_t>(n) * sizeof(T));
    }
    clear(run, count * width);
  }

  // Adds dimension d of the points to their runs.
  void add_dimension(int64_t d, int64_t count, int64_t n, const T* mu, const T* inverse) {
    int64_t r = 0;
    for (; r + kAtOnce <= count; r += kAtOnce) {
      const T of_four[kAtOnce] = {z[r][d], z[r + 1][d], z[r + 2][d], z[r + 3][d]};
      add_exponents(n, of_four, mu, inverse, run + r * width, width);
    }
    for (; r < count; ++r) add_exponents(n, z[r][d], mu, inverse, run + r * width);
  }

  // After dimension d.
  FASTVAE_INLINE void end_dimension(int64_t d, int64_t dims, int64_t count) {
    if ((d + 1) % kDimsOfRun && d + 1 < dims) return;
    const int64_t size = count * width;
    for (int64_t i = 0; i < size; ++i) exponents[i] += run[i];
    if (d + 1 < dims) clear(run, size);
  }
};

// The threads that are worth starting for so many densities.
FASTVAE_INLINE int64_t useful_threads(const Mixture& a, int64_t most) {
  const int64_t work = a.points * a.components * (a.dims + 1) / 32768;
  const int64_t useful = smaller(smaller(a.threads, most), work);
  return useful < 1 ? 1 : useful;
}

template <class T>
struct ForwardWorkspace {
  Planes<T> planes;
  T* largest;
  Arrays tiles;
  int64_t tile_bytes;

  explicit ForwardWorkspace(const Mixture& a) : ForwardWorkspace(a, Arrays(a.workspace)) {}

  Tile<T> tile(int64_t worker) const {
    Arrays mine = tiles;
    mine.take<char>(worker * tile_bytes);
    return Tile<T>(mine, planes.dims, planes.stride);
  }
  int64_t bytes(const Mixture& a) const { return tiles.used() + a.threads * tile_bytes; }

 private:
  ForwardWorkspace(const Mixture& a, Arrays arrays)
      : planes(arrays, a.components, a.dims), largest(arrays.take<T>(a.points)), tiles(arrays) {
    Arrays counted(nullptr);
    Tile<T>(counted, planes.dims, planes.stride);
    tile_bytes = counted.used();
  }
};

template <class T>
FASTVAE_INLINE T finite_part(T value) {
  return magnitude(value) <= Largest<T>::value ? value : T(0);
}

// Takes the exponents of more components into the sum of 2^(exponent - largest) of a point.
template <class T>
void add_to_joint(int64_t n, const T* exponents, T& largest, T& sum, bool first) {
  const T here = largest_of(n, exponents), before = first ? -kInfinity<T> : largest;
  largest = here > before ? here : before;
  const T base = finite_part(largest), terms = sum_of_powers(n, base, exponents);
  sum = first ? terms : sum * power_of_two_at_most_one(before - base) + terms;
}

// The sums of points first .. last, each less than 1 for each component: relative to the largest constant, or to the
// largest exponent of all dimensions.
template <class T>
void add_all(const Mixture& a, const Planes<T>& p, const Strata<T>& strata, Tile<T>& tile, int64_t first, int64_t last,
             T* largest) {
  const int64_t columns = columns_of(a);
  T* sums = static_cast<T*>(a.sums);
  for (int64_t k = 0; k < p.stride; k += tile.width) {
    const int64_t n = smaller(tile.width, p.stride - k);
    for (int64_t i = first; i < last; i += kPointsOfTile) {
      const int64_t count = smaller(kPointsOfTile, last - i);
      tile.begin(a, p, i, count, k, n);
      for (int64_t d = 0; d < p.dims; ++d) {
        const T *mu = p.mu + d * p.stride + k, *inverse = p.inverse + d * p.stride + k;
        const T* constant = p.constant + d * p.stride + k;
        if (a.by_dimension) {
          for (int64_t r = 0; r < count; ++r) {
            T *run = tile.run + r * tile.width, *sum = sums + (i + r) * columns + d;
            const T* c = strata.apply(i + r, k, n, constant, tile.constants);
            const T terms = sum_of_densities(n, tile.z[r][d], mu, inverse, c, run);
            *sum = k ? *sum + terms : terms;
          }
        } else {
          tile.add_dimension(d, count, n, mu, inverse);
        }
        tile.end_dimension(d, p.dims, count);
      }
      for (int64_t r = 0; r < count; ++r) {
        T* exponents = tile.exponents + r * tile.width;
        strata.add(i + r, k, n, exponents);
        add_to_joint(n, exponents, largest[i + r], sums[(i + r + 1) * columns - 1], k == 0);
      }
    }
  }
}

// The logarithm, to base 2, of a sum that vanishes relative to the largest constant: relative to its largest term.
template <class T>
T log_of_small_sum(const Planes<T>& p, const Strata<T>& strata, Tile<T>& tile, int64_t point, int64_t d, T z) {
  T largest = 0, sum = 0;
  for (int64_t k = 0; k < p.stride; k += tile.width) {
    const int64_t n = smaller(tile.width, p.stride - k), at = d * p.stride + k;
    copy_bytes(tile.exponents, p.constant + at, static_cast<size_t>(n) * sizeof(T));
    strata.add(point, k, n, tile.exponents);
    add_exponents(n, z, p.mu + at, p.inverse + at, tile.exponents);
    add_to_joint(n, tile.exponents, largest, sum, k == 0);
  }
  return finite_part(largest) + log(sum) * T(kLog2E);
}

template <class T>
void binary_logarithms(int64_t n, const T* values, T* logarithms) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) logarithms[i] = log(values[i]) * T(kLog2E);
}

// From sums to the densities of each point. What backward takes is not rounded further: a sum that has one large term
// is that term. A sum of a dimension that is too small to be exact becomes its logarithm, which is negative.
template <class T>
void finish(const MixtureForward& a, const Planes<T>& p, const Strata<T>& strata, Tile<T>& tile, int64_t point,
            T largest) {
  const int64_t dims = columns_of(a) - 2;
  T *row = static_cast<T*>(a.sums) + point * (dims + 2), *logarithms = tile.logarithms;
  binary_logarithms(dims, row, logarithms);
  double product = 0;
  for (int64_t d = 0; d < dims; ++d) {
    if (!(row[d] >= kLeastSum<T>)) {
      const T* z = row_of(a.z, point, p.dims, tile.points);
      row[d] = logarithms[d] = log_of_small_sum(p, strata, tile, point, d, z[d]);
    }
    product += kLn2 * (static_cast<double>(logarithms[d]) + p.most[d]) + a.log_weight;
  }
  row[dims] = finite_part(largest);
  const double base = static_cast<double>(row[dims]) + p.most_of_all;
  const double joint = kLn2 * base + static_cast<double>(log(row[dims + 1])) + a.log_weight;
  static_cast<T*>(a.log_joint)[point] = static_cast<T>(joint);
  if (a.log_product) static_cast<T*>(a.log_product)[point] = static_cast<T>(product);
}

template <class T>
void mixture_of(const MixtureForward& a) {
  ForwardWorkspace<T> workspace(a);
  fill(a, workspace.planes);
  const Strata<T> strata(a);
  const int64_t blocks = (a.points + kPointsOfTile - 1) / kPointsOfTile, workers = useful_threads(a, blocks);
  parallel_for(workers, static_cast<int>(workers), 1, [&](int64_t begin, int64_t end, int64_t) {
    for (int64_t worker = begin; worker < end; ++worker) {
      Tile<T> tile = workspace.tile(worker);
      const int64_t first = blocks * worker / workers * kPointsOfTile;
      const int64_t last = smaller(blocks * (worker + 1) / workers * kPointsOfTile, a.points);
      add_all(a, workspace.planes, strata, tile, first, last, workspace.largest);
      for (int64_t i = first; i < last; ++i) finish(a, workspace.planes, strata, tile, i, workspace.largest[i]);
    }
  });
}

}  // namespace
