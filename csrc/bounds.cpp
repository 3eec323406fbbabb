#include "bounds.h"

namespace fastvae {

const float kLeastExponent = -104.0f;
const float kLeastNegative = -88.0f;
const float kLeastLogVariance = -220.0f;
const float kLeastBinary = -127.0f;
const float kLeastFactor = -176.0f;
const float kMostFactor = 176.0f;
const float kMostPower = kRound + 129;
const float kMostLogVariancePower = kRound + 257;

}  // namespace fastvae
