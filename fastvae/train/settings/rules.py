"""What holds for all settings, and how a contradiction is said."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from fastvae.train.settings.kinds import GOES_WITH


def refuse(takes: str) -> None:
    """Say what a field takes in place of what it got.

    Raises:
        PydanticCustomError: always.
    """
    raise PydanticCustomError("contradiction", "takes {takes}", {"takes": takes})


class Rules(BaseModel):
    """Settings of the right types, each of which changes something."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    @field_validator(*GOES_WITH, check_fields=False)
    @classmethod
    def _not_ignored(cls, value: Any, info: ValidationInfo) -> Any:
        """A setting that would change nothing is a mistake."""
        assert info.field_name is not None
        plain, needs = GOES_WITH[info.field_name]
        for other, values in needs.items():
            if value != plain and other in info.data and info.data[other] not in values:
                refuse(f"{plain!r} with {other} {info.data[other]!r}")
        return value
