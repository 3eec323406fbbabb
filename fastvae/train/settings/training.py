"""How a model is trained, whichever it is: what `fastvae.fit` and the command line both take."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from fastvae.train.settings.kinds import of_whole_batches
from fastvae.train.settings.rules import Rules, refuse

Counts = tuple[Annotated[int, Field(ge=1)], ...]


class Training(Rules):
    """The settings of the training loop.

    Raises:
        ValidationError: a field is missing, unknown, of the wrong type, out of its range, or contradicts another.
    """

    validation: float = Field(
        ge=0,
        lt=1,
        description="Share of the training images, the last ones, held out to choose the epoch whose weights are kept; "
        "without any it is the last.",
    )
    batch_size: int = Field(ge=1, description="Images per step.")
    accumulate: int = Field(
        ge=1, description="Parts that a batch is computed in, one after the other, to save memory; gradients add up."
    )
    epochs: int = Field(ge=1, description="Passes over the training images.")
    early_stopping: int | None = Field(
        ge=1, description="End after so many epochs in a row without a better validation loss."
    )
    lr: float = Field(gt=0, description="Learning rate of Adam.")
    adam_eps: float = Field(gt=0, description="What Adam adds to the root of the mean square of a gradient.")
    weight_decay: float = Field(ge=0, description="That of AdamW, for parameters of two and more dimensions.")
    clip_grad: float | None = Field(gt=0, description="The greatest norm of a gradient; longer ones are scaled to it.")
    ema: float | None = Field(
        gt=0,
        lt=1,
        description="Decay, such as 0.999, of an exponential moving average of the weights, which is then what is "
        "evaluated and kept.",
    )
    warmup: int = Field(ge=0, description="Optimizer steps in which the learning rate rises to its value, in a line.")
    lr_schedule: Literal["constant", "steps", "cosine"] = Field(
        description="How the learning rate goes on: as it is, multiplied after some epochs, or along a cosine to 0 at "
        "the last step."
    )
    lr_milestones: Counts = Field(description="Those epochs, such as 10,20.")
    lr_decay: float = Field(gt=0, description="What it is multiplied by.")
    keep_weights: bool = Field(description="Keep the weights after every epoch, in weights/.")
    tensorboard: bool = Field(description="Log to RUN/tensorboard as well.")
    device: Literal["cpu", "cuda"] = Field(description="Where to compute; auto takes CUDA if there.")
    amp: Literal["none", "bf16", "fp16"] = Field(
        description="Mixed precision in training; fp16 with a loss that is scaled so that gradients do not underflow."
    )
    compile: bool = Field(description="Train through torch.compile.")
    seed: int = Field(ge=0, lt=2**63, description="Seed of the weights, the order of the images and the noise.")

    @field_validator("accumulate")
    @classmethod
    def _of_sums(cls, parts: int, info: ValidationInfo) -> int:
        """The gradients of parts add up to that of their batch where its loss is a mean over images."""
        cause = of_whole_batches(info.data)
        if parts > 1 and cause is not None:
            refuse(f"1 with {cause}, which needs the whole batch at once")
        if parts > info.data.get("batch_size", parts):
            refuse(f"at most the batch_size, {info.data['batch_size']}")
        return parts

    @field_validator("early_stopping")
    @classmethod
    def _of_validation(cls, patience: int | None, info: ValidationInfo) -> int | None:
        if patience is not None and info.data.get("validation") == 0:
            refuse("none with validation 0, which measures no loss")
        return patience

    @field_validator("lr_milestones")
    @classmethod
    def _of_steps(cls, milestones: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        if info.data.get("lr_schedule") == "steps" and not milestones:
            refuse("at least one epoch with lr_schedule 'steps'")
        if list(milestones) != sorted(set(milestones)):
            refuse("epochs in their order, each once")
        return milestones
