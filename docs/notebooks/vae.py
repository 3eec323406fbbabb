# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A variational autoencoder, from nothing to pictures
#
# Handwritten digits of 8 x 8 pixels, which come with the package; two networks of your own; a plain loop. Then the same
# in one call. Less than a minute on one core.

# %%
# %matplotlib inline
import torch
from torch import nn

import fastvae
from fastvae.train.data.datasets import load

torch.manual_seed(0)
train, test = load("digits", None)
train_images, test_images = train.images.float() / 255, test.images.float() / 255
train_images.shape, test_images.shape

# %% [markdown]
# ## The model
#
# The encoder gives two numbers for each dimension of the latent, a mean and a log variance, packed in one tensor. The
# decoder gives the mean of every pixel. `gaussian_learned` is a Gaussian around it, with one deviation for all pixels
# that is learned; it begins at the pixels' own.

# %%
latent = 8
encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 2 * latent))
decoder = nn.Sequential(nn.Linear(latent, 256), nn.ReLU(), nn.Linear(256, 64), nn.Sigmoid(), nn.Unflatten(1, (1, 8, 8)))
vae = fastvae.VAE(encoder, decoder, likelihood="gaussian_learned", latent_shape=latent)
with torch.no_grad():
    vae.elbo.reconstruction.log_scale.fill_((train_images - train_images.mean(0)).std().log())
vae

# %% [markdown]
# ## A plain loop
#
# The model returns its loss, the negative ELBO in nats an image, and its two parts for each image, detached.

# %%
optimizer = torch.optim.Adam(vae.parameters(), lr=2e-3)
for epoch in range(1, 61):
    for batch in torch.randperm(len(train_images)).split(64):
        output = vae(train_images[batch])
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
    if epoch % 10 == 0:
        with torch.no_grad():
            held_out = vae(test_images, seed=0)
        print(f"epoch {epoch}: loss {held_out.loss:.1f} nats, of which KL {held_out.kl.mean():.1f}")

# %% [markdown]
# ## What it has learned
#
# Images of writers it has not seen, and what it makes of them by way of 8 numbers:

# %%
vae.eval()
fastvae.plots.reconstructions(vae, test_images[:20])

# %% [markdown]
# New digits: latents drawn from the prior, N(0, I), and decoded.

# %%
fastvae.plots.samples(vae, 49)

# %% [markdown]
# Which dimensions it uses: the mean KL of each over the test images, in nats. One near 0 would tell the decoder
# nothing.

# %%
fastvae.plots.kl_by_dimension(vae, test_images)

# %% [markdown]
# The posterior means of the test images in their first two principal components, by label, which the model never saw:

# %%
fastvae.plots.latent(vae, test_images, test.labels)

# %% [markdown]
# One image's latent, with one number after the other set from -3 to 3:

# %%
fastvae.plots.traversals(vae, test_images, steps=9)

# %% [markdown]
# ## How good it is
#
# The ELBO is a lower bound of log p(x). Importance sampling with more latents comes nearer:

# %%
{k: round(vae.log_likelihood(test_images, num_samples=k, seed=0).mean().item(), 2) for k in (1, 10, 100, 1000)}

# %% [markdown]
# ## The same in one call
#
# `fastvae.fit` is that loop, with a share of the images held out to choose the epoch whose weights are kept. Networks
# of `fastvae.networks` are built by name, and a model of them is saved whole, by `save_pretrained`.

# %%
encoder, decoder, latent_shape = fastvae.networks.build(
    "mlp", (1, 8, 8), 8, hidden=(256,), dropout=0.2, likelihood="gaussian_learned"
)
model = fastvae.VAE(encoder, decoder, likelihood="gaussian_learned", latent_shape=latent_shape)
with torch.no_grad():
    model.elbo.reconstruction.log_scale.fill_((train_images - train_images.mean(0)).std().log())
found = fastvae.fit(model, train_images, epochs=60, batch_size=64, lr=2e-3, validation=0.1, progress=False)
found

# %%
with torch.no_grad():
    print(f"loss on the test images: {model(test_images, seed=0).loss:.1f} nats")

# %%
fastvae.plots.losses(found)
