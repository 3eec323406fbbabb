"""Small models and data for `fastvae.fit`."""

import torch
from torch import nn

import fastvae
from fastvae.train.runs.random import epoch_order

COUNT, BATCH = 70, 16
QUIET = {"device": "cpu", "progress": False}


def images(count=COUNT):
    return torch.rand((count, 1, 4, 4), generator=torch.Generator().manual_seed(1))


def vae(**options):
    torch.manual_seed(2)
    encoder, decoder, latent_shape = fastvae.networks.build("mlp", (1, 4, 4), 2, hidden=(8,))
    return fastvae.VAE(encoder, decoder, latent_shape=latent_shape, **options)


class Joined(nn.Module):
    """A linear network over its inputs side by side."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)

    def forward(self, *inputs):
        return self.linear(torch.cat(inputs, 1))


def cvae(**options):
    torch.manual_seed(2)
    return fastvae.CVAE(Joined(5 + 3, 4), Joined(2 + 3, 5), Joined(3, 4), likelihood="gaussian", **options)


def pairs(count=COUNT):
    generator = torch.Generator().manual_seed(1)
    return torch.rand((count, 3), generator=generator), torch.rand((count, 5), generator=generator)


class Regression(nn.Module):
    """A module of no library, with a loss and noise in it."""

    def __init__(self, wrap=lambda loss: loss):
        super().__init__()
        torch.manual_seed(2)
        self.linear = nn.Linear(3, 5)
        self.wrap = wrap

    def forward(self, x, y):
        noisy = self.linear(x) + 0.1 * torch.randn(y.shape)
        return self.wrap((noisy - y).square().mean())


def by_hand(model, *data, epochs=2, batch=BATCH, seed=0, lr=1e-3, orders=None):
    """The loop that everybody writes."""
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, fused=True)
    torch.manual_seed(seed)
    for epoch in range(1, epochs + 1):
        order = epoch_order(seed, epoch, len(data[0])) if orders is None else orders(epoch)
        for indices in order.split(batch):
            output = model(*(tensor[indices] for tensor in data))
            loss = output if isinstance(output, torch.Tensor) else output.loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model


def same(model, other):
    ours, theirs = model.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
