// A C++ function as a Python one of positional arguments, where a parameter that is a tuple (what a family of ops
// shares) stands for as many arguments as it has elements.
#pragma once
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <tuple>
#include <type_traits>

namespace fastvae {

// Positional arguments, taken one after the other.
class Positional {
 public:
  explicit Positional(const pybind11::args& arguments) : next_(&PyTuple_GET_ITEM(arguments.ptr(), 0)) {}

  template <class T>
  void take(T& value) {
    value = pybind11::handle(*next_++).cast<T>();
  }

  template <class... Ts>
  void take(std::tuple<Ts...>& values) {
    std::apply([this](auto&... value) { (take(value), ...); }, values);
  }

 private:
  PyObject* const* next_;
};

template <class T>
constexpr size_t kArguments = 1;
template <class... Ts>
constexpr size_t kArguments<std::tuple<Ts...>> = (kArguments<Ts> + ... + 0);

template <class Result, class... Ts>
auto flat(Result (*function)(Ts...)) {
  return [function](const pybind11::args& arguments) {
    std::tuple<std::decay_t<Ts>...> parameters;
    constexpr size_t kSize = kArguments<decltype(parameters)>;
    if (arguments.size() != kSize)
      throw pybind11::type_error("got " + std::to_string(arguments.size()) + " arguments; takes " +
                                 std::to_string(kSize));
    Positional(arguments).take(parameters);
    return std::apply(function, parameters);
  };
}

}  // namespace fastvae
