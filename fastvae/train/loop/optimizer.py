"""From the gradient of a batch to the next weights: Adam, its learning rate in each step, and what goes with them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.distributed.tensor import DTensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from fastvae.losses import Schedule
from fastvae.train.errors import UserError

if TYPE_CHECKING:
    # A step needs torch alone.
    from fastvae.train.settings.training import Training


def create(model: nn.Module, config: Training, device: torch.device) -> torch.optim.Adam:
    """Adam for the parameters of `model` that are learned; AdamW (Loshchilov & Hutter 2019) with a weight decay.

    Weights decay; biases, norms and learned scales, which have one dimension, do not, as they are no simpler near zero.
    On a GPU the learning rate is a tensor, which a captured step reads when it is replayed.
    """
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    on_gpu = device.type == "cuda"
    rate = torch.tensor(config.lr, device=device) if on_gpu else config.lr
    if not config.weight_decay:
        return torch.optim.Adam(learned, lr=rate, eps=config.adam_eps, fused=True, capturable=on_gpu)
    groups = [
        {"params": [parameter for parameter in learned if parameter.dim() > 1], "weight_decay": config.weight_decay},
        {"params": [parameter for parameter in learned if parameter.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=rate, eps=config.adam_eps, fused=True, capturable=on_gpu)


class LearningRate:
    """The learning rate of each optimizer step, a function of the config and the step's number alone.

    Args:
        optimizer: whose groups get it, in place where it is a tensor.
        steps: of an epoch.

    Attributes:
        last: what was set last, by a run that has trained a step.

    Raises:
        UserError: a warm-up that leaves no step to a cosine.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, config: Training, steps: int) -> None:
        total = config.epochs * steps
        if config.lr_schedule == "cosine" and config.warmup >= total:
            raise UserError(
                f"--warmup: got {config.warmup}; takes less than the {total} steps of the run with lr_schedule 'cosine'"
            )
        self._optimizer = optimizer
        self._config = config
        self._steps = steps
        self._held = optimizer.param_groups[0]["lr"]
        self.last: float | None = None

    def set(self, step: int) -> float:
        """Give every group the rate of a step, counted from 0; returns it."""
        rate = learning_rate(self._config, step, self._steps)
        if rate != self.last:
            if isinstance(self._held, Tensor):
                self._held.fill_(rate)
            for group in self._optimizer.param_groups:
                # A loaded state has brought its own, which is not the tensor that a captured step reads.
                group["lr"] = self._held if isinstance(self._held, Tensor) else rate
            self.last = rate
        return rate


def learning_rate(config: Training, step: int, steps: int) -> float:
    """The rate of a step, counted from 0, in a run with so many `steps` an epoch: warm-up times schedule."""
    rate = config.lr * _FACTORS[config.lr_schedule](config, step, steps)
    return rate if step >= config.warmup else rate * ((step + 1) / config.warmup)


def _constant(config: Training, step: int, steps: int) -> float:
    return 1.0


def _steps(config: Training, step: int, steps: int) -> float:
    """Decayed once for each milestone, an epoch, that is over."""
    return config.lr_decay ** sum(milestone <= step // steps for milestone in config.lr_milestones)


def _cosine(config: Training, step: int, steps: int) -> float:
    """From 1 after the warm-up to 0 after the last step, half a period (Loshchilov & Hutter 2017, without restarts)."""
    passed = max(step - config.warmup, 0) / (config.epochs * steps - config.warmup)
    return (1 + math.cos(math.pi * passed)) / 2


_FACTORS: Final[dict[str, Callable[[Training, int, int], float]]] = {
    "constant": _constant,
    "steps": _steps,
    "cosine": _cosine,
}


class Average:
    """An exponential moving average of a model's weights; its buffers as they are.

    torch's AveragedModel reads its count of updates on the host, which no step may do.

    Args:
        model: that is trained.
        average: a copy of it, which is to have the averages.
        decay: of the average, a step.
    """

    def __init__(self, model: nn.Module, average: nn.Module, decay: float) -> None:
        self.model = average.requires_grad_(False)
        self._weights = list(model.parameters()), list(self.model.parameters())
        self._buffers = list(model.buffers()), list(self.model.buffers())
        self._move = get_ema_multi_avg_fn(decay)

    def update(self) -> None:
        """Follow the model."""
        weights, averages = self._weights
        self._move(averages, weights, 0)
        for buffer, copied in zip(*self._buffers, strict=True):
            copied.copy_(buffer)

    def state(self) -> Iterator[Tensor]:
        """What `update` changes."""
        yield from self.model.parameters()
        yield from self.model.buffers()


class Update:
    """What a step does with the gradient of its batch: clip it, step, and go on with all that counts steps.

    Args:
        model: whose schedules count its steps.
        optimizer: of the model's parameters; one that can be captured where the step is to be.
        clip: the greatest norm of the gradient, of all parameters together; None for any.
        scaler: of the loss, for a forward pass in float16, whose gradients would underflow; None for none. A step whose
            scaled gradient overflows changes no weights: the optimizer is told so on the device.
        average: of the weights.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        clip: float | None = None,
        scaler: GradScaler | None = None,
        average: Average | None = None,
    ) -> None:
        self._optimizer = optimizer
        self._clip = clip
        self._scaler = GradScaler(enabled=False) if scaler is None else scaler
        self._average = average
        self._schedules = [module for module in model.modules() if isinstance(module, Schedule)]

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of `loss`, a scalar, to what there is of the batch's."""
        self._scaler.scale(loss).backward()

    def __call__(self) -> Tensor | None:
        """Use up the gradient of a batch; returns its norm before clipping where it is clipped, 0-dim."""
        self._scaler.unscale_(self._optimizer)
        norm = None if self._clip is None else self._clipped(self._clip)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._optimizer.zero_grad()
        for schedule in self._schedules:
            schedule.step()
        if self._average is not None:
            self._average.update()
        return norm

    def _clipped(self, clip: float) -> Tensor:
        parameters = [parameter for group in self._optimizer.param_groups for parameter in group["params"]]
        norm = nn.utils.clip_grad_norm_(parameters, clip, foreach=True)
        # Of sharded parameters each process has found its part.
        return norm.full_tensor() if isinstance(norm, DTensor) else norm

    def state(self) -> Iterator[Tensor]:
        """The tensors that a call changes, but for those of the model."""
        for values in self._optimizer.state.values():
            yield from values.values()
        if self._average is not None:
            yield from self._average.state()
        if self._scaler.is_enabled():
            yield from scales(self._scaler)


def loss_scaler(device: torch.device, *, enabled: bool) -> GradScaler:
    """One whose state is there before its first step, which a capture may be."""
    scaler = GradScaler(device.type, enabled=enabled)
    scaler.scale(torch.zeros((), device=device))
    return scaler


def scales(scaler: GradScaler) -> tuple[Tensor, Tensor]:
    """The scale, and the steps since it changed."""
    assert scaler._scale is not None
    assert scaler._growth_tracker is not None
    return scaler._scale, scaler._growth_tracker
