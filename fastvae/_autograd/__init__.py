"""The autograd rules of the ops: one thin file an op, over `fastvae._ops`."""
