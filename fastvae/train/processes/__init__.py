"""The processes of a run, those that torchrun starts: their shares of a batch, and a model that they train together."""
