"""What a run is: every setting, resolved and validated. The command line's options are made from this table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core.core_schema import LiteralSchema, literal_schema

from fastvae import networks
from fastvae._options import PARAMETERIZATIONS, WEIGHTINGS
from fastvae.losses.elbo import FREE_BITS_PER, KL_ESTIMATORS
from fastvae.train.data.description import SOURCES, VALUES
from fastvae.train.settings.data_rules import DataRules
from fastvae.train.settings.kinds import CONDITIONAL, MIXTURES, OF_FRACTIONS, OF_LEVELS, UNCONDITIONAL
from fastvae.train.settings.rules import Rules, refuse
from fastvae.train.settings.training import Counts, Training


class OneOf:
    """The type of a field that takes the keys of a table, written nowhere else.

    Attributes:
        names: what is taken.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> LiteralSchema:
        return literal_schema(list(self.names))


# Values of fields by their names, on their way to a config.
Settings = dict[str, Any]

WARMUP_STEPS: Final = 1000


class Modelling(DataRules, Rules):
    """What is trained on which data.

    A field without a description is no option: what the data is like, see `fastvae.train.data.description.Description`.
    """

    preset: str | None
    data: str = Field(
        description="digits, mnist, or your own: a folder of images, with labels from its subfolders, an .npy or .npz "
        "file of arrays, or an .h5ad file of counts."
    )
    data_dir: str | None = Field(
        description="Folder of the four MNIST files, gzipped or not; of a run on other data, where that has moved to."
    )
    source: Annotated[str, OneOf(SOURCES)]
    shape: Counts
    values: Annotated[str, OneOf(VALUES)]
    labels: int = Field(ge=0)
    image_size: int | None = Field(
        ge=1, description="Height and width that a folder's images are resized to; theirs, if all are of one size."
    )
    channels: int | None = Field(
        description="Of a folder's images: 1 for grey, 3 for colour; colour if any of the files has it."
    )
    label_key: str | None = Field(description="Column of obs with the labels of an .h5ad file.")
    layer: str | None = Field(description="Layer of an .h5ad file that has the counts; X if left out.")
    cache_dir: str | None = Field(description="Folder for what is decoded once; ~/.cache/fastvae if left out.")
    binarize: Literal["none", "threshold", "dynamic"] = Field(
        description="Make pixels black or white: the nearer one, or drawn anew whenever an image is used."
    )
    condition: Literal["none", "label", "quadrants"] = Field(
        description="What is given beside the latent: the label, or some quadrants, the others being the target."
    )
    label_encoding: Literal["one_hot", "number"] = Field(
        description="The label as ten numbers, one of them 1, or as one number, of which networks make little."
    )
    quadrants: int = Field(ge=1, le=3, description="How many are given, clockwise from the lower left.")
    objective: Annotated[str, OneOf((*UNCONDITIONAL, *CONDITIONAL))] = Field(
        description="What is maximized; baseline predicts the target from the condition, without a latent."
    )
    model: Annotated[str, OneOf(networks.ARCHITECTURES)] = Field(description="Kind of networks.")
    latent: Annotated[str, OneOf(networks.LATENTS)] = Field(
        description="Numbers without a place, or feature maps, in whose places the image's are kept."
    )
    widths: Counts | None = Field(
        description="Channels of the feature maps from the image on, such as 32,64; by the image's size if left out."
    )
    blocks: int | None = Field(ge=1, description="Residual blocks at each width; by the image's size if left out.")
    activation: Annotated[str, OneOf(networks.ACTIVATIONS)] = Field(description="Between the layers.")
    hidden: Counts = Field(description="Widths of the encoder's dense layers, such as 512,256, or none.")
    decoder_hidden: Counts | None = Field(description="Those of the decoder; the encoder's in reverse if left out.")
    dropout: float = Field(
        ge=0, lt=1, description="Probability of it, after the first two dense layers; in blocks, too."
    )
    latent_dim: int = Field(
        ge=1, description="Size of the latent, or its channels; a vector of 2 adds a picture of it."
    )
    parameterization: Annotated[str, OneOf(PARAMETERIZATIONS)] = Field(
        description="What the encoder gives beside the mean."
    )
    min_std: float = Field(ge=0, description="Added to the posterior's standard deviation.")
    prior: Literal["standard", "learned", "mixture", "vamp"] = Field(
        description="p(z): N(0, I), or a learned mixture, free or of the posteriors of pseudo-inputs; with a "
        "condition, p(z | condition): N(0, I) or learned."
    )
    components: int = Field(ge=1, description="Gaussians in the mixture.")
    first_guess: str | None = Field(description="Folder of a baseline run, whose prediction the prior network sees.")
    likelihood: Annotated[str, OneOf((*OF_FRACTIONS, *OF_LEVELS))] = Field(
        description=f"p(x|z) of a pixel: of its value in [0, 1], or, the last {len(OF_LEVELS)}, of its level, 0 to 255."
    )
    probability_floor: float = Field(ge=0, lt=0.5, description="Keep probabilities this far from 0 and 1.")
    alpha: float = Field(ge=0, le=1, description="Share of the ELBO in hybrid, the rest being gsnn.")
    train_samples: int = Field(ge=1, description="Latents drawn for each image in training.")
    kl_estimator: Annotated[str, OneOf(KL_ESTIMATORS)] = Field(description="The KL in closed form, or at the sample.")
    total_correlation: float = Field(ge=0, description="Weight of this part of the KL (Chen et al. 2018).")
    mutual_information: float = Field(ge=0, description="Weight of this part of the KL.")
    dimension_kl: float = Field(ge=0, description="Weight of this part of the KL.")
    dataset_size: int | None = Field(
        ge=1, description="What the aggregate posterior is estimated for; the training images if left out."
    )
    weighting: Annotated[str, OneOf(WEIGHTINGS)] = Field(
        description="How a batch stands for the data set there: mss is stratified (Chen et al. 2018, appendix C)."
    )
    beta: float = Field(ge=0, description="Weight of the KL.")
    beta_schedule: Literal["constant", "linear", "cyclical"] = Field(
        description="How beta gets from 0 to its value in the warm-up: at once, in a line, or in several."
    )
    cycles: int = Field(ge=1, description="Rises of a cyclical beta.")
    capacity: float | None = Field(ge=0, description="Nats C of beta * abs(KL - C); C rises from 0 in the warm-up.")
    warmup_steps: int = Field(ge=1, description="Optimizer steps of the warm-up of beta and capacity.")
    free_bits: float = Field(ge=0, description="Nats of KL that cost nothing.")
    free_bits_per: Annotated[str, OneOf(FREE_BITS_PER)] = Field(description="What those are counted for.")

    @field_validator("objective")
    @classmethod
    def _of_the_model(cls, objective: str, info: ValidationInfo) -> str:
        condition = info.data.get("condition")
        taken = UNCONDITIONAL if condition == "none" else CONDITIONAL
        if condition is not None and objective not in taken:
            *others, last = map(repr, taken)
            refuse(f"{', '.join(others)} or {last} with condition {condition!r}")
        return objective

    @field_validator("prior")
    @classmethod
    def _with_or_without_a_condition(cls, prior: str, info: ValidationInfo) -> str:
        condition, objective = info.data.get("condition"), info.data.get("objective")
        if prior == "learned" and condition == "none":
            refuse(f"'standard', {' or '.join(map(repr, MIXTURES))} without a condition")
        if prior in MIXTURES and condition in ("label", "quadrants"):
            refuse(f"'standard' or 'learned' with condition {condition!r}")
        if prior in MIXTURES and objective == "iwae":
            refuse("'standard' with objective 'iwae'")
        return prior

    @field_validator("likelihood")
    @classmethod
    def _of_what_a_pixel_is(cls, name: str, info: ValidationInfo) -> str:
        binarize = info.data.get("binarize")
        if name in OF_LEVELS and binarize in ("threshold", "dynamic"):
            refuse(f"one of {OF_FRACTIONS} with binarize {binarize!r}, which leaves 2 of 256 levels")
        return name

    @field_validator("free_bits_per")
    @classmethod
    def _not_of_a_mixture(cls, unit: str, info: ValidationInfo) -> str:
        if unit != "sample" and info.data.get("prior") in MIXTURES:
            refuse("'sample' with a mixture as the prior, whose KL has no dimensions")
        return unit

    @field_validator("warmup_steps")
    @classmethod
    def _of_something_that_rises(cls, steps: int, info: ValidationInfo) -> int:
        if steps != WARMUP_STEPS and info.data.get("beta_schedule") == "constant" and info.data.get("capacity") is None:
            refuse(f"{WARMUP_STEPS} without a beta schedule or a capacity")
        if info.data.get("beta_schedule") == "cyclical" and steps < info.data.get("cycles", 1):
            refuse(f"at least one for each of {info.data['cycles']} cycles")
        return steps

    @field_validator("free_bits_per")
    @classmethod
    def _of_some_free_bits(cls, unit: str, info: ValidationInfo) -> str:
        if unit != "sample" and info.data.get("free_bits") == 0:
            refuse("'sample' without free bits")
        return unit


class Config(Training, Modelling):
    """Every setting of a run, resolved: no default is looked up again when it is resumed.

    Raises:
        ValidationError: a field is missing, unknown, of the wrong type, out of its range, or contradicts another.
    """

    # Fields come in the order of the bases from the last to the first, which is that of the options.
    threads: int = Field(ge=1, description="CPU threads.")
