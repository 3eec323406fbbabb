"""Which settings of the training loop contradict each other, or the objective."""

from __future__ import annotations

from pydantic import BaseModel, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from fastvae.train.settings.kinds import of_whole_batches


def refuse(takes: str) -> None:
    """Say what a field takes in place of what it got.

    Raises:
        PydanticCustomError: always.
    """
    raise PydanticCustomError("contradiction", "takes {takes}", {"takes": takes})


class TrainingRules(BaseModel):
    """The validators of the fields of `fastvae.train.settings.config.Config` that say how a run trains."""

    @field_validator("accumulate", check_fields=False)
    @classmethod
    def _of_sums(cls, parts: int, info: ValidationInfo) -> int:
        """The gradients of parts add up to that of their batch where its loss is a mean over images."""
        cause = of_whole_batches(info.data)
        if parts > 1 and cause is not None:
            refuse(f"1 with {cause}, which needs the whole batch at once")
        if parts > info.data.get("batch_size", parts):
            refuse(f"at most the batch_size, {info.data['batch_size']}")
        return parts

    @field_validator("early_stopping", check_fields=False)
    @classmethod
    def _of_validation(cls, patience: int | None, info: ValidationInfo) -> int | None:
        if patience is not None and info.data.get("validation") == 0:
            refuse("none with validation 0, which measures no loss")
        return patience

    @field_validator("lr_milestones", check_fields=False)
    @classmethod
    def _of_steps(cls, milestones: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        if info.data.get("lr_schedule") == "steps" and not milestones:
            refuse("at least one epoch with lr_schedule 'steps'")
        if list(milestones) != sorted(set(milestones)):
            refuse("epochs in their order, each once")
        return milestones
