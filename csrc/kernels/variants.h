// The variants of a kernel as one table: Python names one by its kName, and the kernel is compiled for each.
#pragma once

namespace {

template <class... Variants>
struct VariantTable {
  static constexpr const char* kNames[] = {Variants::kName..., nullptr};

  // Calls visit(variant) with the one at `index` of kNames.
  template <class Visit>
  static void visit(int index, const Visit& visit) {
    int at = 0;
    static_cast<void>(((at++ == index && (visit(Variants{}), true)) || ...));
  }
};

}  // namespace
