#include "exchange.h"

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>

#include "dlpack.h"
#include "torch.h"

namespace py = pybind11;

namespace fastvae {

namespace {

std::optional<DType> dtype_of(const dlpack::Tensor& tensor) {
  const auto is = [&](dlpack::Code code, int bits) { return tensor.code == code && tensor.bits == bits; };
  if (is(dlpack::kFloat, 32)) return DType::f32;
  if (is(dlpack::kFloat, 64)) return DType::f64;
  if (is(dlpack::kBrainFloat, 16)) return DType::bf16;
  if (is(dlpack::kFloat, 16)) return DType::f16;
  if (is(dlpack::kUnsigned, 8)) return DType::u8;
  if (is(dlpack::kSigned, 64)) return DType::i64;
  if (is(dlpack::kUnsigned, 16)) return DType::u16;
  if (is(dlpack::kSigned, 16)) return DType::i16;
  if (is(dlpack::kSigned, 32)) return DType::i32;
  if (is(dlpack::kBool, 8)) return DType::boolean;
  return std::nullopt;
}

const char* device_name(int32_t type) {
  if (type == dlpack::kCpu) return "cpu";
  return type == dlpack::kCuda || type == dlpack::kRocm ? "cuda" : nullptr;
}

bool has_pending_negation(py::handle object) {
  PyObject* self = object.ptr();
  const py::object answer = checked(PyObject_VectorcallMethod(torch().is_neg, &self, 1, nullptr));
  return answer.ptr() == Py_True;
}

// Reads a torch.Tensor or torch.nn.Parameter; false of any other class.
bool read(py::handle object, dlpack::Tensor& tensor) {
  const PyTypeObject* type = Py_TYPE(object.ptr());
  if (type != torch().tensor && type != torch().parameter) return false;
  if (torch().api->tensor_from_object(object.ptr(), &tensor) == 0) return true;
  PyErr_Clear();
  return false;
}

// Storage can be freed under a tensor, as FSDP does with parameters between their uses. A kernel takes a null pointer
// for an operand that is absent.
void refuse_freed(const dlpack::Tensor& tensor) {
  if (tensor.data || element_count(tensor.sizes, tensor.sizes + tensor.rank) == 0) return;
  throw std::invalid_argument("got a tensor whose storage was freed (resized to 0); takes one that has memory");
}

// One integer in memory of the host, which a kernel of any device takes by value.
bool is_seed(const dlpack::Tensor& tensor) {
  return tensor.device_type == dlpack::kCpu && tensor.code == dlpack::kSigned && tensor.bits == 64 &&
         element_count(tensor.sizes, tensor.sizes + tensor.rank) == 1;
}

}  // namespace

int64_t Tensor::count() const { return element_count(sizes, sizes + rank); }

int Tensor::item_size() const {
  static constexpr int kSizes[] = {4, 8, 2, 2, 1, 1, 8, 2, 2, 4};
  return kSizes[static_cast<int>(dtype)];
}

bool Tensor::row_major() const {
  for (int d = 1; d < rank; ++d)
    if (strides[d - 1] <= strides[d]) return false;
  return true;
}

Tensor tensor_of(py::handle object) {
  if (object.is_none()) return {};
  if (!PyObject_TypeCheck(object.ptr(), torch().tensor))
    throw py::type_error(std::string("got ") + Py_TYPE(object.ptr())->tp_name + "; takes a torch.Tensor or None");
  dlpack::Tensor tensor;
  if (torch().api->tensor_from_object(object.ptr(), &tensor) != 0) throw py::error_already_set();
  if (tensor.device_type != dlpack::kCpu) throw py::type_error("got a tensor of another device; takes cpu");
  refuse_freed(tensor);
  const std::optional<DType> dtype = dtype_of(tensor);
  if (!dtype) throw py::type_error("got a tensor of a dtype that no kernel takes");
  return {object.ptr(),  static_cast<char*>(tensor.data) + tensor.byte_offset, *dtype, tensor.rank, tensor.sizes,
          tensor.strides};
}

int torch_threads() { return checked(PyObject_CallNoArgs(torch().get_num_threads)).cast<int>(); }

Unpacked::Unpacked(const Tensor& moments, int dim, bool interleaved) : mu(moments), scale(moments) {
  if (!moments.present()) return;
  std::copy_n(moments.sizes, moments.rank, sizes_);
  std::copy_n(moments.strides, moments.rank, strides_);
  sizes_[dim] /= 2;
  if (interleaved) strides_[dim] *= 2;
  const int64_t between = moments.strides[dim] * (interleaved ? 1 : sizes_[dim]);
  scale.data = static_cast<char*>(moments.data) + between * moments.item_size();
  for (Tensor* half : {&mu, &scale}) {
    half->sizes = sizes_;
    half->strides = strides_;
    half->halved = dim;
  }
}

bool alike(py::handle first, py::handle second) {
  dlpack::Tensor a, b;
  if (!read(first, a) || !read(second, b)) return false;
  const bool floating = a.code == dlpack::kFloat || a.code == dlpack::kBrainFloat;
  return floating && a.rank > 0 && a.rank == b.rank && std::equal(a.sizes, a.sizes + a.rank, b.sizes) &&
         a.code == b.code && a.bits == b.bits && a.device_type == b.device_type && a.device_id == b.device_id;
}

py::object direct_call_device(const py::tuple& arguments) {
  for (PyObject* active : torch().dispatch_mode_queries)
    if (PyObject_IsTrue(checked(PyObject_CallNoArgs(active)).ptr())) return py::none();
  const char* device = nullptr;
  for (const py::handle argument : arguments) {
    if (!PyObject_TypeCheck(argument.ptr(), torch().tensor)) continue;
    dlpack::Tensor tensor;
    if (!read(argument, tensor)) return py::none();
    if (is_seed(tensor)) continue;
    const bool memory = tensor.data || element_count(tensor.sizes, tensor.sizes + tensor.rank) == 0;
    const char* name = device_name(tensor.device_type);
    if (!memory || !name || (device && device != name) || has_pending_negation(argument)) return py::none();
    device = name;
  }
  return device ? py::object(py::str(device)) : py::none();
}

py::bytes layout_key(const py::tuple& tensors) {
  std::string key;
  const auto append = [&](const void* data, size_t bytes) { key.append(static_cast<const char*>(data), bytes); };
  for (const py::handle object : tensors) {
    if (object.is_none()) {
      key.push_back('-');
      continue;
    }
    if (!PyObject_TypeCheck(object.ptr(), torch().tensor))
      throw py::type_error(std::string("got ") + Py_TYPE(object.ptr())->tp_name + "; takes a torch.Tensor or None");
    dlpack::Tensor tensor;
    if (torch().api->tensor_from_object(object.ptr(), &tensor) != 0) throw py::error_already_set();
    refuse_freed(tensor);
    const auto address = reinterpret_cast<uintptr_t>(tensor.data) + tensor.byte_offset;
    const int32_t head[] = {tensor.code,      tensor.bits, tensor.device_type,
                            tensor.device_id, tensor.rank, static_cast<int32_t>(address % 16)};
    append(head, sizeof head);
    append(tensor.sizes, tensor.rank * sizeof *tensor.sizes);
    append(tensor.strides, tensor.rank * sizeof *tensor.strides);
  }
  return py::bytes(key);
}

}  // namespace fastvae
