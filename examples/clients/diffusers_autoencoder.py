"""diffusers' AutoencoderKL with a fused posterior: `encode` of a subclass.

python examples/clients/diffusers_autoencoder.py
"""

from collections.abc import Callable

import torch
from diffusers import AutoencoderKL
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from torch import Tensor, nn

import fastvae
import fastvae.functional as F


class Posterior(fastvae.DiagonalGaussian):
    """Differentiated by `sample`, as diffusers' DiagonalGaussianDistribution is."""

    sample = fastvae.DiagonalGaussian.rsample


class FusedAutoencoderKL(AutoencoderKL):
    """diffusers' AutoencoderKL; the posterior has its mode, sample, kl, nll, mean, std, var and logvar."""

    def encode(self, x: Tensor, return_dict: bool = True) -> AutoencoderKLOutput | tuple[Posterior]:
        posterior = Posterior.from_moments(self._encode(x), clamp=(-30.0, 20.0))
        return AutoencoderKLOutput(latent_dist=posterior) if return_dict else (posterior,)


def step(*, fused: bool) -> Callable[[], float]:
    """A training step on 4 images of 64 x 64, L1 + 1e-6 KL."""
    torch.manual_seed(0)
    model = (FusedAutoencoderKL if fused else AutoencoderKL)(
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(32, 64), norm_num_groups=8, latent_channels=4,
    )  # fmt: skip
    x = torch.rand(4, 3, 64, 64)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)

    def run() -> float:
        optimizer.zero_grad()
        posterior = model.encode(x).latent_dist
        decoded = model.decode(posterior.sample()).sample
        if fused:
            loss = F.l1_loss(decoded, x, reduction="batchmean") + 1e-6 * posterior.kl(reduction="batchmean")
        else:
            loss = nn.functional.l1_loss(decoded, x, reduction="sum") / len(x) + 1e-6 * posterior.kl().mean()
        loss.backward()
        optimizer.step()
        return loss.item()

    return run


if __name__ == "__main__":
    for fused in (False, True):
        run = step(fused=fused)
        print("fused " if fused else "theirs", "loss", *(f"{run():.2f}" for _ in range(5)))
