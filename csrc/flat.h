// A C++ function as a Python one of positional arguments: a parameter that is a struct with `fields()` (the arguments a
// family of ops shares) is flattened into one argument for each field.
#pragma once
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

namespace fastvae {

template <class T, class = void>
struct FieldsOf {
  static constexpr bool kMany = false;
  static constexpr size_t kCount = 1;
};

template <class T>
struct FieldsOf<T, std::void_t<decltype(std::declval<T&>().fields())>> {
  static constexpr bool kMany = true;
  static constexpr size_t kCount = std::tuple_size_v<decltype(std::declval<T&>().fields())>;
};

// Positional arguments, taken one after the other.
class Positional {
 public:
  explicit Positional(const pybind11::args& arguments) : next_(&PyTuple_GET_ITEM(arguments.ptr(), 0)) {}

  template <class T>
  void take(T& value) {
    if constexpr (FieldsOf<T>::kMany) {
      take_all(value.fields());
    } else {
      value = pybind11::handle(*next_++).cast<T>();
    }
  }

  template <class Values>
  void take_all(Values&& values) {
    std::apply([this](auto&... value) { (take(value), ...); }, values);
  }

 private:
  PyObject* const* next_;
};

template <class Result, class... Ts>
auto flat(Result (*function)(Ts...)) {
  return [function](const pybind11::args& arguments) {
    constexpr size_t kSize = (FieldsOf<std::decay_t<Ts>>::kCount + ... + 0);
    if (arguments.size() != kSize)
      throw pybind11::type_error("got " + std::to_string(arguments.size()) + " arguments; takes " +
                                 std::to_string(kSize));
    std::tuple<std::decay_t<Ts>...> parameters;
    Positional(arguments).take_all(parameters);
    return std::apply(function, parameters);
  };
}

}  // namespace fastvae
