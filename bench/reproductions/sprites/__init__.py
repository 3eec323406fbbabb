"""Disentanglement: a beta-VAE and a beta-TC-VAE on shapes drawn from known factors (Chen et al. 2018)."""
