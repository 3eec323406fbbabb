// A C++ function as a Python one of positional arguments. A struct of operands (what a family of ops shares) stands for
// as many arguments as it has fields; a struct of options is one argument, a Python tuple.
#pragma once
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

// The fields of a struct in the order of the arguments, and their names.
#define FASTVAE_OPERANDS(...)                         \
  auto fields() { return std::tie(__VA_ARGS__); }     \
  static constexpr const char* kNames = #__VA_ARGS__; \
  static constexpr bool kOneTuple = false;
#define FASTVAE_OPTIONS(...)                          \
  auto fields() { return std::tie(__VA_ARGS__); }     \
  static constexpr const char* kNames = #__VA_ARGS__; \
  static constexpr bool kOneTuple = true;

namespace fastvae {

template <class T, class = void>
struct FieldsOf {
  static constexpr bool kOneTuple = false;
  static constexpr size_t kCount = 0;
  static constexpr size_t kArguments = 1;
};

template <class T>
struct FieldsOf<T, std::void_t<decltype(std::declval<T&>().fields())>> {
  static constexpr bool kOneTuple = T::kOneTuple;
  static constexpr size_t kCount = std::tuple_size_v<decltype(std::declval<T&>().fields())>;
  static constexpr size_t kArguments = kOneTuple ? 1 : kCount;
};

// Positional arguments, taken one after the other.
class Positional {
 public:
  explicit Positional(pybind11::handle tuple) : next_(&PyTuple_GET_ITEM(tuple.ptr(), 0)) {}

  template <class T>
  void take(T& value) {
    if constexpr (FieldsOf<T>::kOneTuple) {
      const pybind11::handle options = *next_++;
      if (!PyTuple_Check(options.ptr()) || PyTuple_GET_SIZE(options.ptr()) != FieldsOf<T>::kCount)
        throw pybind11::type_error(std::string("takes a tuple (") + T::kNames + ")");
      Positional(options).take_all(value.fields());
    } else if constexpr (FieldsOf<T>::kCount > 0) {
      take_all(value.fields());
    } else {
      value = pybind11::handle(*next_++).cast<T>();
    }
  }

  template <class Values>
  void take_all(Values&& values) {
    std::apply([this](auto&... value) { (this->take(value), ...); }, values);
  }

 private:
  PyObject* const* next_;
};

template <class Result, class... Ts>
auto flat(Result (*function)(Ts...)) {
  return [function](const pybind11::args& arguments) {
    constexpr size_t kSize = (FieldsOf<std::decay_t<Ts>>::kArguments + ... + 0);
    if (arguments.size() != kSize)
      throw pybind11::type_error("got " + std::to_string(arguments.size()) + " arguments; takes " +
                                 std::to_string(kSize));
    std::tuple<std::decay_t<Ts>...> parameters;
    Positional(arguments).take_all(parameters);
    return std::apply(function, parameters);
  };
}

}  // namespace fastvae
