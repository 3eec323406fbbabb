"""Models as modules of tensors in and tensors out, as an exporter takes them, and what is asked of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from fastvae import CVAE, VAE
from tests.modules.tiny import LATENT, PIXELS, model


class Asked(nn.Module):
    """``call(model, *inputs)``."""

    def __init__(self, model: nn.Module, call: Callable[..., Any]) -> None:
        super().__init__()
        self.model, self.call = model, call

    def forward(self, *inputs: Tensor) -> Any:
        return self.call(self.model, *inputs)


def tensors_of(output: Any) -> tuple[Tensor, ...]:
    return output.loss, output.reconstruction_loss, output.kl, output.z, output.mu, output.scale, output.prediction


CALLS: Final[dict[str, Callable[..., Any]]] = {
    "posterior": lambda vae, x: (vae.encode(x).mu, vae.encode(x).std, vae.encode(x).logvar),
    "decode": lambda vae, x: vae.decode(x[:, :LATENT], mean=True),
    "reconstruct": lambda vae, x: vae.reconstruct(x),
    "objective": lambda vae, x: tensors_of(vae(x, sample=False)),
    "eps": lambda vae, x: tensors_of(vae(x, eps=x[:, :LATENT])),
    "samples": lambda vae, x: tensors_of(vae(x, num_samples=2, eps=torch.stack((x[:, :LATENT], x[:, -LATENT:])))),
    "log_prob": lambda vae, x: vae.elbo.log_prob(vae.reconstruct(x), x),
}
"""Without noise of their own."""

MODELS: Final[dict[str, dict[str, Any]]] = {
    "plain": {},
    "floored": {"parameterization": "softplus", "min_var": 1e-4},
    "clamped": {"clamp": (-6.0, 2.0), "likelihood": "gaussian_learned", "beta": 2.0},
    "free bits": {"free_bits": 0.1, "free_bits_per": "dimension", "likelihood": "laplace"},
}


def vae(name: str) -> VAE:
    return model(**MODELS[name]).eval()


class Both(nn.Module):
    """A linear map of two inputs together."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.of = nn.Linear(inputs, outputs)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        output: Tensor = self.of(torch.cat((first, second), 1))
        return output


def cvae(prior: bool) -> CVAE:
    torch.manual_seed(0)
    learned = nn.Linear(2, 2 * LATENT) if prior else None
    networks = Both(PIXELS + 2, 2 * LATENT), Both(LATENT + 2, PIXELS)
    return CVAE(*networks, learned, latent_shape=LATENT).double().eval()


def batch(size: int, features: int = PIXELS) -> Tensor:
    return torch.rand(size, features, dtype=torch.float64, generator=torch.Generator().manual_seed(size))


def exported(asked: nn.Module, *inputs: Tensor, **options: Any) -> ExportedProgram:
    """The program of any batch size."""
    shapes = {"inputs": tuple({0: Dim.DYNAMIC} for _ in inputs)}
    return torch.export.export(asked, inputs, dynamic_shapes=shapes, **options)


def own_ops(program: ExportedProgram) -> set[str]:
    """The ops of ours that a program calls."""
    targets = (str(node.target) for module in program.graph_module.modules() for node in module.graph.nodes)
    return {target for target in targets if target.startswith("fastvae")}
