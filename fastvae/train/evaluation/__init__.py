"""What a trained model is worth: its ELBO, log-likelihood and use of the latent, and how they are said."""
