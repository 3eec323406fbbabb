// Runs the tests, or those whose names are given. With --no-guards, arrays end where their allocation does, which the
// tools that watch allocations need.
#include <cstring>

#include "launch.h"

int main(int count, char** arguments) {
  using namespace native;
  std::vector<std::string> wanted;
  for (int i = 1; i < count; ++i) {
    if (std::strcmp(arguments[i], "--no-guards") == 0) {
      guard_bytes() = 0;
    } else {
      wanted.push_back(arguments[i]);
    }
  }
  long run = 0;
  for (const Test& test : progress().tests) {
    if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), test.name) == wanted.end()) continue;
    progress().where = test.name;
    const long before = progress().checks;
    test.run();
    std::printf("%s: %ld checks\n", test.name, progress().checks - before);
    std::fflush(stdout);
    ++run;
  }
  std::printf("%s: %ld tests, %ld checks, %ld failures\n", unit().name, run, progress().checks, progress().failures);
  return run > 0 && progress().failures == 0 ? 0 : 1;
}
