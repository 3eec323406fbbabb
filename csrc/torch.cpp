#include "torch.h"

#include <stdexcept>
#include <string>

namespace py = pybind11;

namespace fastvae {

namespace {

const dlpack::ExchangeApi* exchange_api(const py::object& tensor) {
  const py::object capsule = tensor.attr("__dlpack_c_exchange_api__");
  const auto* api = static_cast<const dlpack::ExchangeApi*>(PyCapsule_GetPointer(capsule.ptr(), dlpack::kCapsule));
  if (!api) throw py::error_already_set();
  if (api->major_version != dlpack::kMajorVersion || !api->tensor_from_object)
    throw std::runtime_error("torch.Tensor.__dlpack_c_exchange_api__: takes DLPack " +
                             std::to_string(dlpack::kMajorVersion));
  return api;
}

Torch* load() {
  const py::module_ torch = py::module_::import("torch"), nn = py::module_::import("torch.nn");
  const py::module_ internals = py::module_::import("torch._C");
  const auto get = [](const py::module_& module, const char* name) {
    return py::object(module.attr(name)).release().ptr();
  };
  const auto type = [&](const py::module_& module, const char* name) {
    return reinterpret_cast<PyTypeObject*>(get(module, name));
  };
  return new Torch{type(torch, "Tensor"),
                   type(nn, "Parameter"),
                   exchange_api(torch.attr("Tensor")),
                   get(torch, "float32"),
                   get(torch, "empty_like"),
                   get(torch, "get_num_threads"),
                   {get(internals, "_len_torch_dispatch_stack"), get(internals, "_are_functorch_transforms_active"),
                    get(internals, "_get_tracing_state")},
                   PyUnicode_InternFromString("is_neg"),
                   PyUnicode_InternFromString("new_empty"),
                   PyUnicode_InternFromString("narrow"),
                   py::make_tuple("dtype").release().ptr()};
}

}  // namespace

// Leaked on purpose: the interpreter may be gone when static objects die. The GIL guards it, not the lock of a static
// that is being made: looking up may let another thread run, which would wait for that lock with the GIL.
const Torch& torch() {
  static const Torch* loaded = nullptr;
  if (!loaded) loaded = load();
  return *loaded;
}

py::object checked(PyObject* result) {
  if (!result) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(result);
}

}  // namespace fastvae
