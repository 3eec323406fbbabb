"""Settings every test shares."""

import os

# Triton reads it once, when it is first imported: kernels run on CPU tensors in its interpreter.
os.environ.setdefault("TRITON_INTERPRET", "1")
