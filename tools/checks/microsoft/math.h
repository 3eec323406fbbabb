// What the kernels use of Microsoft's header, for clang to read MSVC's branches with.
#pragma once
extern "C" {
double exp(double);
double exp2(double);
double expm1(double);
double log(double);
double log1p(double);
double log2(double);
double fabs(double);
float fabsf(float);
double sqrt(double);
float sqrtf(float);
float fmaf(float, float, float);
}
