"""A run on disk: its folder, weights, checkpoint and metrics, and how it goes on with the same bits."""
