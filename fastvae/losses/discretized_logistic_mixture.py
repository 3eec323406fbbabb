"""Pixels as draws from a mixture of discretized logistics."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import torch
import torch.nn.functional as T
from torch import Tensor

from fastvae._describe import named
from fastvae._outputs import compute_dtype
from fastvae.functional.discretized_logistic_mixture import batchmean_with_samples, discretized_logistic_mixture_nll
from fastvae.losses.density import Density

_LEAST_LOG_SCALE: Final = -7.0
# By the channels of the target: the parameters of a pixel in one component, and how many of them each channel has
# beside the component's logit.
_PARAMETERS: Final = {1: (3, 2), 3: (10, 3)}


class _Components(NamedTuple):
    """The parameters of all components: ``[batch, components, ...]`` and ``[batch, channels, components, ...]``."""

    logits: Tensor
    means: Tensor
    log_scales: Tensor
    coefficients: Tensor | None

    def shift(self, channel: int, earlier: list[Tensor]) -> Tensor | float:
        """What the earlier channels of x, ``[batch, ...]`` for each component, add to the mean of this one."""
        if self.coefficients is None:
            return 0.0
        first = max(channel - 1, 0)
        return sum((self.coefficients[:, first + index] * x for index, x in enumerate(earlier)), start=0.0)


class DiscretizedLogisticMixture(Density):
    """p(x | z) of PixelCNN++, VDVAE and NVAE: a mixture of discretized logistics for the channels of each pixel.

    For a target ``[batch, 3, H, W]`` the decoder returns ``[batch, 10 * num_mixtures, H, W]``, for one channel
    ``[batch, 3 * num_mixtures, H, W]``; what they hold, and what a target may be, is said in
    `fastvae.functional.discretized_logistic_mixture_nll`. `mean` and `sample` are in [-1, 1] whatever the target is.

    Args:
        num_mixtures: components of the mixture.
        dim: the dimension of the channels.
        bits: of a channel of the target.

    Raises:
        TypeError, ValueError: by its methods, a prediction or a target of other channels.

    Examples:
        >>> density = fastvae.losses.DiscretizedLogisticMixture(num_mixtures=5)
        >>> density.decoder_channels(3), density.decoder_channels(1), density.pixel_range
        (50, 15, (-1.0, 1.0))
        >>> params, image = torch.zeros(2, 50, 8, 8), torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
        >>> density.log_prob(params, image).shape, density.mean(params).shape
        (torch.Size([2]), torch.Size([2, 3, 8, 8]))
    """

    def __init__(self, num_mixtures: int = 10, *, dim: int = 1, bits: int = 8) -> None:
        super().__init__()
        self.num_mixtures = num_mixtures
        self.dim = dim
        self.bits = bits

    @property
    def pixel_range(self) -> tuple[float, float]:
        """Black and white: ``[-1, 1]``, as `mean` is."""
        return -1.0, 1.0

    def decoder_channels(self, channels: int) -> int:
        """The parameters of a pixel.

        Raises:
            ValueError: a target of other than 1 or 3 channels.
        """
        if channels not in _PARAMETERS:
            raise ValueError(f"channels: got {channels!r}; takes one of {tuple(_PARAMETERS)}")
        return _PARAMETERS[channels][0] * self.num_mixtures

    def forward(self, prediction: Any, target: Tensor) -> Tensor:
        """-log p(target | z) in nats: ``[batch]``."""
        return self._nll(prediction, target)

    def batch_mean(self, prediction: Any, target: Tensor) -> tuple[Tensor, Tensor]:
        """The mean of `forward` over the batch, in one pass with its gradient, and its values without."""
        return batchmean_with_samples(
            self._tensor(prediction), target, num_mixtures=self.num_mixtures, dim=self.dim, bits=self.bits
        )

    def log_prob(self, prediction: Any, target: Tensor) -> Tensor:
        """log p(target | z) in nats: ``[batch]``."""
        return -self._nll(prediction, target)

    def mean(self, prediction: Any) -> Tensor:
        """The expected pixels in [-1, 1], ``[batch, channels, H, W]``.

        Each component's mean is that of a logistic whose tails are gathered at -1 and 1; rounding to levels moves it by
        less than half a level. Its later channels are conditioned on the mean of the earlier ones.
        """
        parts = self._components(prediction)
        weights = torch.softmax(parts.logits, 1)
        channels: list[Tensor] = []
        for channel in range(parts.means.shape[1]):
            mean, scale = parts.means[:, channel] + parts.shift(channel, channels), parts.log_scales[:, channel].exp()
            # The integral from -1 to 1 of the probability to lie above.
            above: Tensor = scale * (T.softplus((mean + 1) / scale) - T.softplus((mean - 1) / scale))
            channels.append(above - 1)
        return self._image([(weights * channel).sum(1) for channel in channels])

    @torch.no_grad()
    def sample(self, prediction: Any, *, seed: int | None = None, generator: torch.Generator | None = None) -> Tensor:
        """One draw of each pixel: levels in [-1, 1].

        Args:
            prediction: what the decoder returned for a batch.
            seed, generator: where the noise comes from, torch's default generator without either.

        Returns:
            ``[batch, channels, H, W]``.

        Raises:
            TypeError, ValueError: a prediction of other channels, or both a seed and a generator.

        Examples:
            >>> drawn = fastvae.losses.DiscretizedLogisticMixture(5).sample(torch.zeros(2, 50, 8, 8), seed=0)
            >>> drawn.shape, bool(drawn.abs().max() <= 1)
            (torch.Size([2, 3, 8, 8]), True)
        """
        if seed is not None and generator is not None:
            raise ValueError("seed, generator: got both; takes at most one source of noise")
        parts = self._components(prediction)
        if seed is not None:
            generator = torch.Generator(parts.logits.device).manual_seed(seed)

        def uniform(like: Tensor) -> Tensor:
            drawn = torch.rand(like.shape, generator=generator, dtype=like.dtype, device=like.device)
            least = torch.finfo(like.dtype).eps / 4
            return drawn.clamp(least, 1 - 2 * least)

        component = (parts.logits - (-uniform(parts.logits).log()).log()).argmax(1, keepdim=True)
        chosen = _chosen(parts, component)
        noise = torch.logit(uniform(chosen.means)) * chosen.log_scales.exp()
        half = 1 / (2**self.bits - 1)
        channels: list[Tensor] = []
        for channel in range(chosen.means.shape[1]):
            x = chosen.means[:, channel] + chosen.shift(channel, channels) + noise[:, channel]
            channels.append(((x.clamp(-1, 1) + 1) / (2 * half)).round() * (2 * half) - 1)
        return self._image([channel[:, 0] for channel in channels])

    def extra_repr(self) -> str:
        """The density's options, for `repr`."""
        options = {"num_mixtures": self.num_mixtures, "dim": self.dim, "bits": self.bits}
        defaults = {"dim": 1, "bits": 8}
        return named({name: value for name, value in options.items() if value != defaults.get(name)})

    def _nll(self, prediction: Any, target: Tensor) -> Tensor:
        return discretized_logistic_mixture_nll(
            self._tensor(prediction), target, num_mixtures=self.num_mixtures, dim=self.dim, bits=self.bits,
            reduction="sample",
        )  # fmt: skip

    def _components(self, prediction: Any) -> _Components:
        values = self._tensor(prediction).movedim(self.dim, 1)
        values = values.to(compute_dtype(values))
        count, (channels, kinds) = self.num_mixtures, self._channels(values.shape[1])
        parts = values[:, count:].unflatten(1, (channels, kinds, count))
        coefficients = torch.tanh(parts[:, :, 2]) if channels == 3 else None
        return _Components(values[:, :count], parts[:, :, 0], parts[:, :, 1].clamp(min=_LEAST_LOG_SCALE), coefficients)

    def _channels(self, size: int) -> tuple[int, int]:
        """The channels of the target, and the parameters that each has in a component."""
        for channels, (parameters, kinds) in _PARAMETERS.items():
            if size == parameters * self.num_mixtures:
                return channels, kinds
        raise ValueError(
            f"prediction: got size {size} along dim {self.dim}; takes {10 * self.num_mixtures} for three channels or "
            f"{3 * self.num_mixtures} for one, num_mixtures being {self.num_mixtures}"
        )

    def _tensor(self, prediction: Any) -> Tensor:
        if not isinstance(prediction, Tensor):
            raise TypeError(f"prediction: got {type(prediction).__name__}; takes a torch.Tensor")
        return prediction

    def _image(self, channels: list[Tensor]) -> Tensor:
        return torch.stack(channels, 1).movedim(1, self.dim)


def _chosen(parts: _Components, component: Tensor) -> _Components:
    """Of every pixel the component with that index, ``[batch, 1, ...]``."""
    by_channel = component.unsqueeze(1)

    def of(values: Tensor) -> Tensor:
        return values.gather(2, by_channel.expand(values.shape[0], values.shape[1], 1, *values.shape[3:]))

    coefficients = None if parts.coefficients is None else of(parts.coefficients)
    return _Components(parts.logits.gather(1, component), of(parts.means), of(parts.log_scales), coefficients)
