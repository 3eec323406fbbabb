// OpenMP's entry points, as GCC calls them, on threads of the C++ library. libgomp's own synchronisation is invisible
// to a race detector, which then reports what is none; a thread that is started and joined here is not.
#include <thread>
#include <vector>

namespace {
thread_local int number = 0, team = 1;
}

extern "C" {

int omp_get_thread_num() { return number; }
int omp_get_num_threads() { return team; }

void GOMP_parallel(void (*body)(void*), void* data, unsigned threads, unsigned) {
  std::vector<std::thread> others;
  for (unsigned other = 1; other < threads; ++other)
    others.emplace_back([=] {
      number = static_cast<int>(other);
      team = static_cast<int>(threads);
      body(data);
    });
  team = static_cast<int>(threads);
  body(data);
  team = 1;
  for (std::thread& other : others) other.join();
}
}
