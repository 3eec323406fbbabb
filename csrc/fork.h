// OpenMP's threads do not survive a fork, and its runtime would wait for them forever: an atfork handler notes that.
#pragma once
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace fastvae {

// How many of `wanted` threads a kernel may use: one in a child process that was forked without an exec. No result
// depends on it.
inline int usable_threads(int wanted) {
#if defined(__unix__) || defined(__APPLE__)
  static bool forked = false;
  static const int registered = pthread_atfork(nullptr, nullptr, [] { forked = true; });
  return forked || registered != 0 ? 1 : wanted;
#else
  return wanted;
#endif
}

}  // namespace fastvae
