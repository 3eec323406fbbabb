// Faults that a tool must see, one a run: planted NAME. It ends as a test would that has seen none.
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>
#include <thread>

namespace {

volatile int sink;

void read_behind_an_array() {
  const auto array = std::make_unique<int[]>(16);
  const volatile int size = 16;
  sink = array[size];
}

void signed_overflow() {
  const volatile int largest = std::numeric_limits<int>::max();
  sink = largest + 1;
}

void uninitialised_branch() {
  const std::unique_ptr<volatile int[]> array(new volatile int[16]);
  if (array[7] > 0) std::fputs("positive\n", stderr);
}

void race() {
  int count = 0;
  const auto add = [&count] {
    for (int i = 0; i < 1000; ++i) reinterpret_cast<volatile int&>(count) += 1;
  };
  std::thread first(add), second(add);
  first.join();
  second.join();
  sink = count;
}

struct Fault {
  const char* name;
  void (*commit)();
};

constexpr Fault kFaults[] = {{"read_behind_an_array", read_behind_an_array},
                             {"signed_overflow", signed_overflow},
                             {"uninitialised_branch", uninitialised_branch},
                             {"race", race}};

}  // namespace

int main(int count, char** arguments) {
  for (const Fault& fault : kFaults) {
    if (count != 2 || std::strcmp(arguments[1], fault.name) != 0) continue;
    fault.commit();
    std::puts("0 failures");
    return 0;
  }
  std::fputs("usage: planted FAULT\n", stderr);
  return 2;
}
