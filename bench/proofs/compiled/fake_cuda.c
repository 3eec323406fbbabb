// The part of CUDA's driver that a launcher of Triton's calls, with launches that end in two variables.
#include <cuda.h>

int fake_launches = 0;
unsigned int fake_programs = 0;
CUdeviceptr fake_first_pointer = 0;

CUresult cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction function, void** params, void** extra) {
  ++fake_launches;
  fake_programs = config->gridDimX;
  fake_first_pointer = *(CUdeviceptr*)params[0];
  return CUDA_SUCCESS;
}

CUresult cuPointerGetAttribute(void* data, CUpointer_attribute attribute, CUdeviceptr pointer) {
  *(CUdeviceptr*)data = pointer;
  return CUDA_SUCCESS;
}

CUresult cuCtxGetCurrent(CUcontext* context) {
  *context = (CUcontext)1;
  return CUDA_SUCCESS;
}

CUresult cuCtxSetCurrent(CUcontext context) { return CUDA_SUCCESS; }
CUresult cuDeviceGet(CUdevice* device, int ordinal) { return CUDA_SUCCESS; }
CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) { return CUDA_SUCCESS; }
CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value) { return CUDA_SUCCESS; }

CUresult cuGetErrorString(CUresult error, const char** text) {
  *text = "no error of a real driver";
  return CUDA_SUCCESS;
}

// What Triton's utilities are linked with, beside, and no launch calls.
CUresult cuCtxGetLimit(size_t* value, CUlimit limit) { return CUDA_ERROR_NOT_SUPPORTED; }
CUresult cuCtxSetLimit(CUlimit limit, size_t value) { return CUDA_ERROR_NOT_SUPPORTED; }
CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice device) {
  return CUDA_ERROR_NOT_SUPPORTED;
}
CUresult cuFuncGetAttribute(int* value, CUfunction_attribute attribute, CUfunction function) {
  return CUDA_ERROR_NOT_SUPPORTED;
}
CUresult cuFuncSetCacheConfig(CUfunction function, CUfunc_cache config) { return CUDA_ERROR_NOT_SUPPORTED; }
CUresult cuModuleGetFunction(CUfunction* function, CUmodule module, const char* name) {
  return CUDA_ERROR_NOT_SUPPORTED;
}
CUresult cuModuleLoadData(CUmodule* module, const void* image) { return CUDA_ERROR_NOT_SUPPORTED; }
CUresult cuDriverGetVersion(int* version) { return CUDA_ERROR_NOT_SUPPORTED; }
