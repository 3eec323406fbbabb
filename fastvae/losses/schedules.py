"""Weights that change during training: KL warm-up."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class Schedule(nn.Module, ABC):
    """A weight as a function of the number of `step` calls; pass it as `beta` or `capacity`.

    The count is a buffer: it moves with the model, is saved in its state_dict (a resumed run goes on where it was), and
    the value is computed on the device, never read back to the host. A schedule of your own says `fraction`.

    Args:
        start, end: the weight at the first step and at the last.
        steps: how many optimizer steps it takes.

    Raises:
        ValueError: steps that are no int of at least 1.

    Examples:
        >>> class Cosine(fastvae.losses.Schedule):
        ...     def fraction(self):
        ...         return 0.5 - 0.5 * torch.cos(torch.pi * (self.count / self.steps).clamp(max=1.0))
        >>> beta = Cosine(0.0, 1.0, steps=2)
        >>> beta()
        tensor(0.)
        >>> beta.step()
        >>> beta()
        tensor(0.5000)
        >>> beta.reset_parameters()
        >>> beta.count
        tensor(0)
    """

    count: Tensor

    def __init__(self, start: float, end: float, steps: int) -> None:
        super().__init__()
        if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
            raise ValueError(f"steps: got {steps!r}; takes an int of at least 1")
        self.start = float(start)
        self.end = float(end)
        self.steps = steps
        self.register_buffer("count", torch.empty((), dtype=torch.int64))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Count from 0 again: what a schedule built on ``meta`` needs after `to_empty`."""
        self.count.zero_()

    @abstractmethod
    def fraction(self) -> Tensor:
        """How far from `start` (0) to `end` (1) the weight is.

        Returns:
            A 0-dim tensor, float32.
        """

    def forward(self) -> Tensor:
        """The current weight.

        Returns:
            A 0-dim tensor, float32.
        """
        return self.start + (self.end - self.start) * self.fraction()

    def step(self) -> None:
        """Count one optimizer step."""
        self.count += 1

    def extra_repr(self) -> str:
        """The schedule's options, for `repr`."""
        return f"start={self.start}, end={self.end}, steps={self.steps}"


class LinearWarmup(Schedule):
    """From `start` to `end` in a straight line over `steps` calls of `step`, then constant (Bowman et al. 2016).

    How long the run is, only you know: a warm-up longer than the run never reaches `end`, and the loss minimized is not
    the one asked for. Give `steps` in optimizer steps, not epochs.

    Args:
        start, end: the weight before the first step and after the last.
        steps: optimizer steps from the one to the other.

    Raises:
        ValueError: steps that are no int of at least 1.

    Examples:
        >>> beta = fastvae.LinearWarmup(0.0, 1.0, steps=4)
        >>> loss = fastvae.ELBOLoss(beta=beta)
        >>> weights = []
        >>> for _ in range(6):
        ...     weights.append(beta().item())
        ...     beta.step()  # after optimizer.step()
        >>> weights
        [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    """

    def fraction(self) -> Tensor:
        """min(count / steps, 1)."""
        return (self.count / self.steps).clamp(max=1.0)


class CyclicalWarmup(Schedule):
    """`cycles` linear warm-ups over `steps` calls of `step` in all, then constant (Fu et al. 2019, equation 6).

    Args:
        start, end: the weight at the beginning of a cycle and at its end.
        steps: optimizer steps of all cycles together; afterwards the weight stays at `end`.
        cycles: how many.
        ratio: the share of a cycle in which the weight rises; the rest stays at `end`.

    Raises:
        ValueError: steps, cycles or a ratio out of range.

    Examples:
        >>> beta = fastvae.CyclicalWarmup(0.0, 1.0, steps=8, cycles=2)
        >>> weights = []
        >>> for _ in range(10):
        ...     weights.append(beta().item())
        ...     beta.step()
        >>> weights
        [0.0, 0.5, 1.0, 1.0, 0.0, 0.5, 1.0, 1.0, 1.0, 1.0]
    """

    def __init__(self, start: float, end: float, steps: int, *, cycles: int = 4, ratio: float = 0.5) -> None:
        super().__init__(start, end, steps)
        if not isinstance(cycles, int) or isinstance(cycles, bool) or not 1 <= cycles <= steps:
            raise ValueError(f"cycles: got {cycles!r}; takes an int from 1 to steps, {steps}")
        if not 0.0 < ratio <= 1.0:
            raise ValueError(f"ratio: got {ratio!r}; takes a number above 0, at most 1")
        self.cycles = cycles
        self.ratio = float(ratio)

    def fraction(self) -> Tensor:
        """min(tau / ratio, 1), tau the position within the cycle."""
        tau = (self.count * self.cycles) % self.steps / self.steps
        rising = (tau / self.ratio).clamp(max=1.0)
        return torch.where(self.count >= self.steps, torch.ones_like(rising), rising)

    def extra_repr(self) -> str:
        """The schedule's options, for `repr`."""
        return f"{super().extra_repr()}, cycles={self.cycles}, ratio={self.ratio}"
