#include "outputs.h"

#include <utility>

#include "torch.h"

namespace py = pybind11;

namespace fastvae {

namespace {

// A loss over 16-bit floats is a float32.
bool widened(const Tensor& like) { return like.dtype == DType::bf16 || like.dtype == DType::f16; }

py::tuple sizes_of(const int64_t* first, const int64_t* last, const std::optional<int64_t>& leading = {}) {
  py::tuple sizes(last - first + leading.has_value());
  size_t at = 0;
  if (leading) sizes[at++] = py::int_(*leading);
  for (; first != last; ++first) sizes[at++] = py::int_(*first);
  return sizes;
}

Output new_empty(const Tensor& like, const py::tuple& sizes, bool widen) {
  PyObject* arguments[] = {like.object, sizes.ptr(), torch().float32};
  return Output(checked(PyObject_VectorcallMethod(torch().new_empty, arguments, 2, widen ? torch().dtype : nullptr)));
}

Output empty_like(py::handle tensor, bool widen) {
  PyObject* arguments[] = {tensor.ptr(), torch().float32};
  return Output(checked(PyObject_Vectorcall(torch().empty_like, arguments, 1, widen ? torch().dtype : nullptr)));
}

Output empty_like(const Tensor& like, bool widen) {
  if (like.halved < 0) return empty_like(like.object, widen);
  if (like.row_major()) return new_empty(like, sizes_of(like.sizes, like.sizes + like.rank), widen);
  // torch knows how it orders the dimensions of a view.
  const py::int_ dim(like.halved), start(0), length(like.sizes[like.halved]);
  PyObject* arguments[] = {like.object, dim.ptr(), start.ptr(), length.ptr()};
  return empty_like(checked(PyObject_VectorcallMethod(torch().narrow, arguments, 4, nullptr)), widen);
}

}  // namespace

Output::Output(py::object made) : Tensor(tensor_of(made)), owner(std::move(made)) {}

Output empty_like(const Tensor& operand) { return empty_like(operand, false); }

Output gradient_like(bool wanted, const Tensor& operand) {
  return wanted && operand.present() ? empty_like(operand) : Output();
}

Output loss_over(const Tensor& like, std::string_view reduction, int batch_dims) {
  if (reduction == "none") return empty_like(like, widened(like));
  const int rank = reduction == "sample" ? batch_dims : 0;
  return new_empty(like, sizes_of(like.sizes, like.sizes + rank), widened(like));
}

Output sample_of(const Tensor& mu, const std::optional<int64_t>& num_samples) {
  if (num_samples) return new_empty(mu, sizes_of(mu.sizes, mu.sizes + mu.rank, num_samples), false);
  return empty_like(mu);
}

Output columns_beside(const Tensor& like, int64_t columns) {
  const int64_t sizes[] = {like.sizes[0], columns};
  return new_empty(like, sizes_of(sizes, sizes + 2), widened(like));
}

Output loss_without(const Tensor& like, int dim) {
  py::list sizes(sizes_of(like.sizes, like.sizes + like.rank));
  sizes.attr("pop")(dim);
  return new_empty(like, py::tuple(sizes), widened(like));
}

}  // namespace fastvae
