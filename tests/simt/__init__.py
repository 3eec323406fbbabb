"""A SIMT machine in numpy that executes the PTX of a kernel, one lane a thread, and checks every access to memory.

What a GPU would load, executed without one: `program` reads the text, `machine` runs its threads, `memory` and `races`
say which of their accesses are faults, `device` runs the launches of the product on it.
"""
