// What the kernels use of Microsoft's header, for clang to read MSVC's branches with.
#pragma once
#include <stddef.h>
extern "C" {
void* memcpy(void*, const void*, size_t);
void* memset(void*, int, size_t);
}
