"""What is drawn: arrays from a model, axes and figures from arrays, and the pictures of runs."""
