// From a torch.Tensor to what the kernels know of one.
#pragma once
#include <pybind11/pybind11.h>

#include <cstdint>

#include "tensor.h"

namespace fastvae {

// Sizes and strides are borrowed from the tensor, as is the tensor itself. None becomes an absent one.
struct Tensor {
  PyObject* object = nullptr;
  void* data = nullptr;
  DType dtype = DType::f32;
  int rank = 0;
  const int64_t* sizes = nullptr;
  const int64_t* strides = nullptr;
  int halved = -1;  // the dimension that is half as long as the object's

  bool present() const { return object != nullptr; }
  int64_t count() const;
  int item_size() const;
  // Do the strides fall from each dimension to the next?
  bool row_major() const;
};

// Throws where the object is neither None nor a tensor, its memory is not the CPU's, or no kernel takes its dtype.
Tensor tensor_of(pybind11::handle object);

// As many threads as torch would use.
int torch_threads();

// The halves of a tensor along `dim`, or its even and odd entries.
struct Unpacked {
  Tensor mu, scale;

  Unpacked(const Tensor& moments, int dim, bool interleaved);
  Unpacked(const Unpacked&) = delete;

 private:
  int64_t sizes_[kMaxDims], strides_[kMaxDims];
};

// Are these two plain tensors of one shape (of rank 1 or more), floating-point dtype and device?
bool alike(pybind11::handle first, pybind11::handle second);

// The type of the device ("cpu", "cuda") of all tensors among `arguments`, or None where a call of an op is more than a
// kernel on memory: a tensor that is of a subclass, has no memory or a pending sign, or a mode, transform or trace.
pybind11::object plain_device(const pybind11::tuple& arguments);

// The dtypes, devices, sizes, strides and alignments (mod 16) of tensors and Nones on any device: a key for what was
// prepared for their like.
pybind11::bytes layouts(const pybind11::tuple& tensors);

}  // namespace fastvae

template <>
struct pybind11::detail::type_caster<fastvae::Tensor> {
  PYBIND11_TYPE_CASTER(fastvae::Tensor, const_name("torch.Tensor | None"));

  bool load(handle source, bool) {
    value = fastvae::tensor_of(source);
    return true;
  }
};
