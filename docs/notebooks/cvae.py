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
# # A conditional variational autoencoder
#
# Digits that are asked for by their label, then images completed from their upper half. The bundled digits, two small
# networks, less than a minute on one core.

# %%
# %matplotlib inline
import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn.functional import one_hot

import fastvae
from fastvae.train.data.datasets import load

torch.manual_seed(0)
train, test = load("digits", None)
train_images, test_images = train.images.float() / 255, test.images.float() / 255
train_labels, test_labels = one_hot(train.labels, 10).float(), one_hot(test.labels, 10).float()
train_labels.shape, train_images.shape

# %% [markdown]
# ## The model
#
# p(image | label) with a latent for what the label does not say: slant, width, stroke. The recognition network sees
# image and label, the generation network latent and label. A label is ten numbers, one of them 1.


# %%
class Beside(nn.Module):
    """A network of two inputs, joined along their features."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, first, second):
        return self.layers(torch.cat((first.flatten(1), second.flatten(1)), 1))


latent = 8
recognition = Beside(nn.Linear(64 + 10, 256), nn.ReLU(), nn.Linear(256, 2 * latent))
generation = Beside(
    nn.Linear(latent + 10, 256), nn.ReLU(), nn.Linear(256, 64), nn.Sigmoid(), nn.Unflatten(1, (1, 8, 8))
)
cvae = fastvae.CVAE(recognition, generation, likelihood="gaussian_learned", latent_shape=latent)
with torch.no_grad():
    cvae.elbo.reconstruction.log_scale.fill_((train_images - train_images.mean(0)).std().log())

# %% [markdown]
# ## A plain loop
#
# The model is called with the condition, then the target: what is known first.

# %%
optimizer = torch.optim.Adam(cvae.parameters(), lr=2e-3)
for epoch in range(1, 41):
    for batch in torch.randperm(len(train_images)).split(64):
        output = cvae(train_labels[batch], train_images[batch])
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
    if epoch % 10 == 0:
        with torch.no_grad():
            held_out = cvae(test_labels, test_images, seed=0)
        print(f"epoch {epoch}: loss {held_out.loss:.1f} nats, of which KL {held_out.kl.mean():.1f}")

# %% [markdown]
# ## Digits to order
#
# A row is a label and a column a latent: along a column the style stays and the digit changes.

# %%
cvae.eval()
fastvae.plots.samples(cvae, 10, torch.eye(10), names=range(10))

# %% [markdown]
# ## How good it is
#
# log p(image | label) by importance sampling, and by latents drawn from the prior, which rarely come near those that
# made an image:

# %%
for method in ("importance", "monte_carlo"):
    found = cvae.log_likelihood(test_labels, test_images, num_samples=200, method=method, seed=0)
    print(f"{method}: {found.mean():.2f} nats")

# %% [markdown]
# ## Completions, in one call
#
# Now the condition is the upper half of an image and the target the lower half. A prior network says which latents fit
# a given half, and `fastvae.fit` trains all three.

# %%
upper, lower = train_images[:, :, :4], train_images[:, :, 4:]
given, wanted = test_images[:, :, :4], test_images[:, :, 4:]
completion = fastvae.CVAE(
    Beside(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 2 * latent)),
    Beside(nn.Linear(latent + 32, 256), nn.ReLU(), nn.Linear(256, 32), nn.Sigmoid(), nn.Unflatten(1, (1, 4, 8))),
    nn.Sequential(nn.Flatten(), nn.Linear(32, 128), nn.ReLU(), nn.Linear(128, 2 * latent)),
    likelihood="gaussian_learned",
    latent_shape=latent,
)
with torch.no_grad():
    completion.elbo.reconstruction.log_scale.fill_((lower - lower.mean(0)).std().log())
fastvae.fit(completion, (upper, lower), epochs=40, batch_size=64, lr=2e-3, validation=0.1, progress=False)

# %% [markdown]
# Six latents from the prior of each half, beside the images:

# %%
chosen = [int((test.labels == label).nonzero()[0]) for label in range(10)]  # the first image of each label
drawn = completion.sample(given[chosen], 6, seed=0)  # [6, images, 1, 4, 8]
whole = torch.cat((given[chosen].expand(6, -1, -1, -1, -1), drawn), 3)
masked = torch.cat((given[chosen], torch.full_like(wanted[chosen], 0.5)), 2)
columns = torch.cat((masked[None], whole, test_images[chosen][None]))[:, :, 0]  # [8, images, 8, 8]
framed = nn.functional.pad(columns, (1, 1, 1, 1))
_, axes = plt.subplots(figsize=(5, 6))
axes.imshow(framed.permute(1, 2, 0, 3).reshape(100, 80), cmap="gray", interpolation="bicubic")
axes.set_axis_off()
_ = axes.set_title("half, six completions, original")

# %% [markdown]
# Where the half leaves more than one digit open, so do the completions. `predict` gives their mean, a blur then.

# %%
error = (completion.predict(given, 100, seed=0) - wanted).square().flatten(1).sum(1).mean()
print(f"squared error of the mean prediction: {error:.2f}; of the mean image: ", end="")
print(f"{(lower.mean(0) - wanted).square().flatten(1).sum(1).mean():.2f}")
