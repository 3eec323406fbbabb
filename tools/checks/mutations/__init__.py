"""Mutation testing of the mathematics: formulas are changed one operator or number at a time, and a test must fail.

``python -m tools.checks.mutations``. The tools for Python keep their changed modules in a tree of their own, rewrite
functions, or know no number but n + 1; Triton reads a kernel's source from its file, and C++ is not theirs at all. So
the changes are made here, both languages alike, and a few hundred of them share one warm process and one compilation.
"""
