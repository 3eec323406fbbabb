// A test registers itself; CHECK counts, and says which case of which test failed.
#pragma once
#include <cstdio>
#include <string>
#include <vector>

namespace native {

struct Test {
  const char* name;
  void (*run)();
};

// What is running, for the message of a check that fails.
struct Progress {
  std::vector<Test> tests;
  std::string where;
  long checks = 0, failures = 0;
};

inline Progress& progress() {
  static Progress all;
  return all;
}

inline void check(bool passed, const std::string& what) {
  ++progress().checks;
  if (passed) return;
  if (++progress().failures <= 20) std::printf("FAILED %s: %s\n", progress().where.c_str(), what.c_str());
}

struct Registered {
  Registered(const char* name, void (*run)()) { progress().tests.push_back({name, run}); }
};

}  // namespace native

#define NATIVE_TEST(name)                                           \
  static void name();                                               \
  static const ::native::Registered registered_##name(#name, name); \
  static void name()
#define CHECK(condition) ::native::check(condition, #condition)
