// How a thread rounds, and what it does with denormals, which is a setting of each thread of a processor.
#pragma once
#include <cstdint>

namespace fastvae {

using FloatMode = uint64_t;

// That of the calling thread.
FloatMode float_mode();

// What kernels compute in, called by a thread of mode `caller`: round to nearest and never trap, as the noise and every
// bound of an error have it, and flush denormals where the caller does (torch.set_flush_denormal).
FloatMode kernel_mode(FloatMode caller);

// The mode of this thread for a while.
class InFloatMode {
 public:
  explicit InFloatMode(FloatMode mode);
  ~InFloatMode();
  InFloatMode(const InFloatMode&) = delete;
  InFloatMode& operator=(const InFloatMode&) = delete;

 private:
  FloatMode before_;
};

}  // namespace fastvae
