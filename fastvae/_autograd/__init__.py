"""The differentiable ops: one class an op, which says what is saved and what backward calls."""
