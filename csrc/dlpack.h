// The part of DLPack's C ABI that reads a tensor (dlpack.h 1.3, https://github.com/dmlc/dlpack). PyTorch offers it as
// `torch.Tensor.__dlpack_c_exchange_api__`: no Python object is made, and the extension builds without PyTorch's
// headers or libraries.
#pragma once
#include <cstdint>

namespace fastvae::dlpack {

constexpr uint32_t kMajorVersion = 1;
constexpr const char* kCapsule = "dlpack_exchange_api";

enum Device : int32_t { kCpu = 1, kCuda = 2, kRocm = 10 };
enum Code : uint8_t { kSigned = 0, kUnsigned = 1, kFloat = 2, kBrainFloat = 4, kBool = 6 };

struct Tensor {
  void* data;
  int32_t device_type, device_id;
  int32_t rank;
  uint8_t code, bits;
  uint16_t lanes;
  int64_t* sizes;
  int64_t* strides;
  uint64_t byte_offset;
};

struct ExchangeApi {
  uint32_t major_version, minor_version;
  ExchangeApi* previous;
  void* allocate;
  void* managed_from_object;
  void* managed_to_object;
  int (*tensor_from_object)(void* object, Tensor* out);  // borrows; -1 with a Python error set
  void* current_stream;
};

}  // namespace fastvae::dlpack
