// From a torch.Tensor to what the kernels know of one.
#pragma once
#include <pybind11/pybind11.h>

#include <cstdint>

#include "tensor.h"

namespace fastvae {

// A borrowed tensor, with its sizes and strides. None becomes an absent one.
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

// The type of the device ("cpu", "cuda") whose kernel may be called directly on `arguments`, or None where the call
// must go through PyTorch's dispatcher: a mode, transform or trace is active, or a tensor is of a subclass, has no
// memory or a pending negation, or is on another device than the rest; a seed may be on the host.
pybind11::object direct_call_device(const pybind11::tuple& arguments);

// The dtypes, devices, sizes, strides and alignments (mod 16) of tensors, some of them None, on any device: the key
// under which a compiled launch is cached.
pybind11::bytes layout_key(const pybind11::tuple& tensors);

}  // namespace fastvae

template <>
struct pybind11::detail::type_caster<fastvae::Tensor> {
  PYBIND11_TYPE_CASTER(fastvae::Tensor, const_name("torch.Tensor | None"));

  bool load(handle source, bool) {
    value = fastvae::tensor_of(source);
    return true;
  }
};
