"""Training: one step, its capture as a CUDA graph, and the loop over epochs."""
