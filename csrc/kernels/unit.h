// Names of the instruction-set unit that is being compiled. A kernel with a source file of its own is a function of
// `namespace fastvae::FASTVAE_UNIT_NAMESPACE`, declared in its header and defined beside it; unit.cpp puts it into the
// table.
#pragma once

#define FASTVAE_STRING_(name) #name
#define FASTVAE_STRING(name) FASTVAE_STRING_(name)
#define FASTVAE_JOIN_(a, b) a##b
#define FASTVAE_JOIN(a, b) FASTVAE_JOIN_(a, b)
#define FASTVAE_UNIT_NAMESPACE FASTVAE_JOIN(unit_, FASTVAE_UNIT)
