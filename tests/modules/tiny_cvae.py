"""A CVAE small enough to write its objectives by hand."""

from typing import Any

import torch
import torch.nn.functional as T
from torch import Tensor, nn

from fastvae import CVAE

# A few hundred float64 terms and two small matrix products, a few roundings of 2.2e-16 each.
EXACT = {"rtol": 1e-11, "atol": 1e-12}


BATCH, CONDITION, TARGET, LATENT = 6, 4, 5, 3


class Recognition(nn.Module):
    def __init__(self, packed: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(TARGET + CONDITION, 2 * LATENT)
        self.packed = packed

    def forward(self, target: Tensor, condition: Tensor) -> Any:
        moments = self.linear(torch.cat([target, condition], 1))
        return moments if self.packed else moments.chunk(2, 1)


class Generation(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(LATENT + CONDITION, TARGET)

    def forward(self, z: Tensor, condition: Tensor) -> Tensor:
        return self.linear(torch.cat([z, condition], 1))


def model(prior: bool = True, packed: bool = True, **options: Any) -> CVAE:
    torch.manual_seed(0)
    recognition, generation, network = Recognition(packed), Generation(), nn.Linear(CONDITION, 2 * LATENT)
    return CVAE(recognition, generation, network if prior else None, latent_shape=LATENT, **options).double()


def data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    condition = torch.randn(BATCH, CONDITION, dtype=torch.float64, generator=generator)
    return condition, torch.rand(BATCH, TARGET, dtype=torch.float64, generator=generator)


def normal(moments: Any) -> torch.distributions.Normal:
    mu, logvar = moments.chunk(2, 1) if isinstance(moments, Tensor) else moments
    return torch.distributions.Normal(mu, (0.5 * logvar).exp())


def prior_of(cvae: CVAE, condition: Tensor) -> torch.distributions.Normal:
    if cvae.prior is None:
        zeros = torch.zeros(BATCH, LATENT, dtype=torch.float64)
        return torch.distributions.Normal(zeros, 1.0)
    return normal(cvae.prior(condition))


def nll(cvae: CVAE, z: Tensor, condition: Tensor, target: Tensor) -> Tensor:
    lead = z.shape[:-2]
    flat = cvae.generation(z.reshape(-1, LATENT), condition.expand(*lead, *condition.shape).reshape(-1, CONDITION))
    logits = flat.reshape(*lead, BATCH, TARGET)
    return T.binary_cross_entropy_with_logits(logits, target.expand_as(logits), reduction="none").sum(-1)


def assert_same(ours: Tensor, theirs: Tensor, cvae: CVAE) -> None:
    torch.testing.assert_close(ours, theirs, **EXACT)
    got, expected = (
        torch.autograd.grad(loss, list(cvae.parameters()), allow_unused=True, materialize_grads=True)
        for loss in (ours, theirs)
    )
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, **EXACT)
