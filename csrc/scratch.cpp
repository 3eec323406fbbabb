#include "scratch.h"

#include <new>
#include <utility>

namespace fastvae {

namespace {

// At the beginning of memory that no call uses.
struct Kept {
  int64_t threads;
  Kept* next;
};

Kept* kept = nullptr;

constexpr std::align_val_t kAlignment{kScratchAlignment};

void* allocate(int64_t threads) { return ::operator new(static_cast<size_t>(threads) * kScratchBytes, kAlignment); }

}  // namespace

// What was used last is in the caches. Memory of too few threads is replaced: there is as much as calls at one time.
Scratch::Scratch(int64_t threads) {
  Kept* last = kept;
  if (last && last->threads >= threads) {
    threads_ = last->threads;
    memory_ = reinterpret_cast<char*>(std::exchange(kept, last->next));
    return;
  }
  memory_ = static_cast<char*>(allocate(threads));
  threads_ = threads;
  if (last) {
    kept = last->next;
    ::operator delete(last, kAlignment);
  }
}

Scratch::~Scratch() { kept = new (memory_) Kept{threads_, kept}; }

}  // namespace fastvae
