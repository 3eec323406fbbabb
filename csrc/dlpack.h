// The part of DLPack's C ABI that reads a tensor (dlpack.h 1.3, https://github.com/dmlc/dlpack). PyTorch offers it as
// `torch.Tensor.__dlpack_c_exchange_api__`: no Python object is made, and the extension builds without PyTorch's
// headers or libraries.
#pragma once
#include <cstddef>
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

// The published layout, on processors with addresses of 64 bits. A tensor's device and dtype are structs there.
static_assert(sizeof(void*) == 8 && sizeof(Tensor) == 48 && sizeof(ExchangeApi) == 56);
static_assert(offsetof(Tensor, data) == 0 && offsetof(Tensor, device_type) == 8 && offsetof(Tensor, device_id) == 12);
static_assert(offsetof(Tensor, rank) == 16 && offsetof(Tensor, code) == 20 && offsetof(Tensor, bits) == 21);
static_assert(offsetof(Tensor, lanes) == 22 && offsetof(Tensor, sizes) == 24 && offsetof(Tensor, strides) == 32);
static_assert(offsetof(Tensor, byte_offset) == 40);
static_assert(offsetof(ExchangeApi, major_version) == 0 && offsetof(ExchangeApi, minor_version) == 4);
static_assert(offsetof(ExchangeApi, previous) == 8 && offsetof(ExchangeApi, allocate) == 16);
static_assert(offsetof(ExchangeApi, managed_from_object) == 24 && offsetof(ExchangeApi, managed_to_object) == 32);
static_assert(offsetof(ExchangeApi, tensor_from_object) == 40 && offsetof(ExchangeApi, current_stream) == 48);

}  // namespace fastvae::dlpack
