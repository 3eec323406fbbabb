"""What a run is: every setting, resolved and validated."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

_Data = Literal["digits", "mnist"]
_Model = Literal["mlp", "conv", "conv_valid"]
_Likelihood = Literal["bernoulli", "bernoulli_probs", "gaussian", "squared_error", "laplace", "gaussian_learned"]
_Parameterization = Literal["logvar", "log_std", "std", "softplus", "variance"]
_Estimator = Literal["analytic", "monte_carlo"]
_Device = Literal["cpu", "cuda"]
_Amp = Literal["none", "bf16"]
_Positive = Annotated[int, Field(ge=1)]

DATA: Final[tuple[str, ...]] = get_args(_Data)
MODELS: Final[tuple[str, ...]] = get_args(_Model)
LIKELIHOODS: Final[tuple[str, ...]] = get_args(_Likelihood)
PARAMETERIZATIONS: Final[tuple[str, ...]] = get_args(_Parameterization)
ESTIMATORS: Final[tuple[str, ...]] = get_args(_Estimator)
DEVICES: Final[tuple[str, ...]] = ("auto", *get_args(_Device))
AMP: Final[tuple[str, ...]] = get_args(_Amp)


class Config(BaseModel):
    """Every setting of a run, resolved: no default is looked up again when it is resumed.

    Raises:
        ValidationError: a field is missing, unknown, of the wrong type or out of its range.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    preset: str | None
    data: _Data
    data_dir: str | None
    binarize: bool
    model: _Model
    hidden: tuple[_Positive, ...]
    decoder_hidden: tuple[_Positive, ...] | None
    latent_dim: _Positive
    parameterization: _Parameterization
    likelihood: _Likelihood
    kl_estimator: _Estimator
    beta: float = Field(ge=0)
    batch_size: _Positive
    epochs: _Positive
    lr: float = Field(gt=0)
    keep_weights: bool
    device: _Device
    amp: _Amp
    compile: bool
    seed: int = Field(ge=0, lt=2**63)
    threads: _Positive

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, data_dir: str | None, info: ValidationInfo) -> str | None:
        """Where the data is, in a form that holds when the run is resumed from another folder."""
        data = info.data.get("data")
        if data == "mnist" and data_dir is None:
            raise PydanticCustomError("folder", "takes the folder of the four MNIST files with data 'mnist'")
        if data == "digits" and data_dir is not None:
            raise PydanticCustomError("no_folder", "takes none with data 'digits', which are bundled")
        try:
            return None if data_dir is None else str(Path(data_dir).expanduser().resolve())
        except RuntimeError as error:
            raise PydanticCustomError("no_home", "takes no ~ of an unknown user") from error
