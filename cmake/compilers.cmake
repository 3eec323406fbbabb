# What each family of compilers takes: flags that keep IEEE results (no contraction, no reassociation, no fast-math;
# errno, traps and the sign of zero are what vectorisation needs out of its way), warnings, and those of the x86-64 units.
include(CheckCXXSourceCompiles)

set(fastvae_ieee -fno-math-errno -fno-trapping-math -fno-signed-zeros -ffp-contract=off)
set(fastvae_warnings -Wall -Wextra)
set(fastvae_avx2 -mavx2 -mfma)
set(fastvae_avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mpopcnt -mprefer-vector-width=512)
set(fastvae_simd -fopenmp-simd)  # `#pragma omp simd` where there is no OpenMP
set(fastvae_assembly -save-temps=obj)

if(MSVC AND CMAKE_CXX_COMPILER_ID STREQUAL "MSVC")  # contraction: compiler.h
  set(fastvae_ieee /fp:precise)
  set(fastvae_avx2 /arch:AVX2)
  set(fastvae_avx512 /arch:AVX512)
  set(fastvae_warnings /W3 /wd4068)  # unknown pragmas
  set(fastvae_simd)
  set(fastvae_assembly /FAs)
elseif(MSVC)  # clang-cl
  list(TRANSFORM fastvae_ieee PREPEND /clang:)
  list(TRANSFORM fastvae_simd PREPEND /clang:)
  set(fastvae_warnings /W3 -Wno-pass-failed)
elseif(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  list(APPEND fastvae_warnings -Wno-pass-failed)  # for each `omp simd` loop that it does not vectorise
elseif(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(PREPEND fastvae_avx512 -Wno-maybe-uninitialized)  # GCC 12 warns in its own avx512fintrin.h
  if(WIN32)  # where GCC does not align the stack to 32 bytes, but moves as if it had (its bug 54412)
    list(APPEND fastvae_avx2 -Wa,-muse-unaligned-vector-move)
    list(APPEND fastvae_avx512 -Wa,-muse-unaligned-vector-move)
  endif()
endif()

# The instruction-set units of the processor that is compiled for, whatever the one is that compiles.
set(fastvae_units default)
check_cxx_source_compiles("
#if !defined(__x86_64__) && !defined(_M_X64)
#error another processor
#endif
int main() { return 0; }" FASTVAE_X86_64)
if(FASTVAE_X86_64)
  list(APPEND fastvae_units avx2 avx512)
endif()

# Threads. MSVC's OpenMP computes loops as under /fp:fast (learn.microsoft.com/cpp/parallel/openmp/openmp-simd), and on
# macOS a second copy of the runtime that torch brings ends the process.
if(CMAKE_CXX_COMPILER_ID STREQUAL "MSVC")
  set(FASTVAE_OPENMP OFF)
elseif(APPLE)
  option(FASTVAE_OPENMP "Run the CPU kernels on OpenMP's threads" OFF)
else()
  option(FASTVAE_OPENMP "Run the CPU kernels on OpenMP's threads" ON)
endif()
if(FASTVAE_OPENMP)
  find_package(OpenMP COMPONENTS CXX)
endif()
if(NOT OpenMP_CXX_FOUND)
  message(STATUS "fastvae: the CPU kernels run on one thread, without OpenMP")
endif()

# One object library of kernels for a unit.
function(fastvae_unit name)
  add_library(unit_${name} OBJECT ${ARGN})
  set_target_properties(unit_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_compile_definitions(unit_${name} PRIVATE FASTVAE_UNIT=${name})
  target_compile_options(unit_${name} PRIVATE ${fastvae_ieee} ${fastvae_warnings} ${fastvae_${name}})
  if(OpenMP_CXX_FOUND)
    target_link_libraries(unit_${name} PRIVATE OpenMP::OpenMP_CXX)
  else()
    target_compile_options(unit_${name} PRIVATE ${fastvae_simd})
  endif()
endfunction()
