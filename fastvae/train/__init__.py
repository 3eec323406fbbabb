"""The command-line application: train, evaluate, sample from and draw a VAE. Nothing in the core imports it."""
