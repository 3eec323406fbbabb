// The Python objects of torch that the extension calls, looked up once.
#pragma once
#include <pybind11/pybind11.h>

#include "dlpack.h"

namespace fastvae {

struct Torch {
  PyTypeObject *tensor, *parameter;
  const dlpack::ExchangeApi* api;
  PyObject *float32, *empty_like, *get_num_threads;
  // Functions that return something true while a dispatch mode, a functorch transform or a trace intercepts ops.
  PyObject* dispatch_mode_queries[3];
  // Names of methods and of keywords.
  PyObject *is_neg, *new_empty, *narrow, *dtype;
};

const Torch& torch();

// The result of a call in Python's C API: throws where there is none.
pybind11::object checked(PyObject* result);

}  // namespace fastvae
