// What the kernels use of Microsoft's header, for clang to read MSVC's branches with.
#pragma once
#include <immintrin.h>
extern "C" void _ReadWriteBarrier(void);
