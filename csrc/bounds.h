// Bounds of exponentials, defined in a translation unit of their own so that the compiler of the kernels does not see
// their values. GCC turns `x < bound ? bound : x` into one max
// instruction; of a constant it makes a comparison and a masked move, which cost the KL loop a fifth of its time.
#pragma once

namespace fastvae {

constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits

// The arguments below which an exponential is 0, and of the powers 2^n it is made of the largest n, plus kRound.
extern const float kLeastExponent, kLeastNegative, kLeastLogVariance, kLeastBinary;
// The exponents beyond which a float times e^x is 0 and infinite, but for floats of another range.
extern const float kLeastFactor, kMostFactor;
extern const float kMostPower, kMostLogVariancePower;

}  // namespace fastvae
