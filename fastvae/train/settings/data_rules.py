"""Which settings go with which data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from fastvae.train.data.description import Description, Reading
from fastvae.train.data.named import NAMED
from fastvae.train.settings.kinds import TAKEN_VALUES
from fastvae.train.settings.rules import refuse


class DataRules(BaseModel):
    """The validators of the fields of `fastvae.train.settings.config.Config` that depend on what the data is like."""

    if TYPE_CHECKING:
        data: str
        data_dir: str | None
        binarize: str

    @property
    def data_name(self) -> str:
        """What the data is called: its name, or that of its file or folder."""
        return Path(self.data).name

    @property
    def dataset(self) -> dict[str, Any]:
        """The arguments of `fastvae.train.data.datasets.load`."""
        return {
            "name": self.data,
            "folder": self.data_dir,
            "binarize": self.binarize,
            "reading": Reading(*(getattr(self, field) for field in Reading._fields)),
            "described": Description(*(getattr(self, field) for field in Description._fields)),
        }

    @field_validator("data_dir", "first_guess", "cache_dir", check_fields=False)
    @classmethod
    def _absolute(cls, folder: str | None) -> str | None:
        """Where something is, in a form that holds when the run is resumed from another folder."""
        try:
            return None if folder is None else str(Path(folder).expanduser().resolve())
        except RuntimeError as error:
            raise PydanticCustomError("no_home", "takes no ~ of an unknown user") from error

    @field_validator("data", check_fields=False)
    @classmethod
    def _named_or_somewhere(cls, data: str) -> str:
        if data not in NAMED and not Path(data).is_absolute():
            raise PydanticCustomError("data", "takes {names}, or an absolute path", {"names": ", ".join(NAMED)})
        return data

    @field_validator("data_dir", check_fields=False)
    @classmethod
    def _there_if_needed(cls, data_dir: str | None, info: ValidationInfo) -> str | None:
        data = info.data.get("data")
        if data == "mnist" and data_dir is None:
            raise PydanticCustomError("folder", "takes the folder of the four MNIST files with data 'mnist'")
        if data == "digits" and data_dir is not None:
            raise PydanticCustomError("no_folder", "takes none with data 'digits', which are bundled")
        return data_dir

    @field_validator("channels", check_fields=False)
    @classmethod
    def _of_grey_or_colour(cls, channels: int | None) -> int | None:
        if channels not in (None, 1, 3):
            refuse("1 for grey or 3 for colour")
        return channels

    @field_validator("binarize", check_fields=False)
    @classmethod
    def _of_bytes(cls, binarize: str, info: ValidationInfo) -> str:
        values = info.data.get("values")
        if binarize != "none" and values not in ("bytes", None):
            refuse(f"'none' with data that is no uint8 (its values: {values})")
        return binarize

    @field_validator("condition", check_fields=False)
    @classmethod
    def _that_the_data_has(cls, condition: str, info: ValidationInfo) -> str:
        shape = info.data.get("shape", (1, 2, 2))
        if condition == "label" and info.data.get("labels") == 0:
            refuse("'none' or 'quadrants' with data that has no labels")
        if condition == "quadrants" and (len(shape) != 3 or shape[0] != 1 or min(shape[1:]) < 2):
            refuse(f"'none' or 'label' with samples of shape {shape}; quadrants are of grey images")
        return condition

    @field_validator("likelihood", check_fields=False)
    @classmethod
    def _of_what_a_value_is(cls, name: str, info: ValidationInfo) -> str:
        values = info.data.get("values")
        if values is not None and values not in TAKEN_VALUES[name]:
            taken = [likelihood for likelihood, kinds in TAKEN_VALUES.items() if values in kinds]
            refuse(f"one of {tuple(taken)} with this data (its values: {values})")
        return name
