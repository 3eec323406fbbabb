"""`fastvae.fit`: the command line's loop for any module and data."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import click
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from fastvae import CVAE, VAE
from fastvae.train.data.datasets import left_to_train
from fastvae.train.errors import UserError, first_problem
from fastvae.train.loop.task import Parts
from fastvae.train.loop.trainer import Loop
from fastvae.train.processes import group
from fastvae.train.python import pictures, samples, task
from fastvae.train.python.errors import as_python_says
from fastvae.train.python.folder import FitFolder, opened
from fastvae.train.python.result import Fit, result
from fastvae.train.python.samples import Source
from fastvae.train.runs import random
from fastvae.train.settings import resolve
from fastvae.train.settings.training import Training

BATCH_SIZE: Final = 128


def fit(
    model: nn.Module,
    data: Any,
    *,
    epochs: int,
    batch_size: int | None = None,
    validation: Any = 0.0,
    inputs: int | None = None,
    accumulate: int = 1,
    early_stopping: int | None = None,
    lr: float = 1e-3,
    adam_eps: float = 1e-8,
    weight_decay: float = 0.0,
    clip_grad: float | None = None,
    ema: float | None = None,
    warmup: int = 0,
    lr_schedule: str = "constant",
    lr_milestones: Sequence[int] = (),
    lr_decay: float = 0.1,
    device: str = "auto",
    amp: str = "none",
    compile: bool = False,
    seed: int = 0,
    out: str | Path | None = None,
    resume: bool = False,
    keep_weights: bool = False,
    tensorboard: bool = False,
    progress: bool = True,
) -> Fit:
    """Train a model in place, by the loop of ``fastvae train``; the options have the names that they have there.

    Under torchrun the processes train one model together: each batch is shared among them, and one seed gives the run
    of one process, to rounding. Outside the call torch's generators are as they were.

    Args:
        model: a `fastvae.VAE`, `BetaVAE` or `CVAE`, with its own options; or any module that returns its loss, the mean
            over a batch: a tensor of one number, or a mapping, named tuple or dataclass with one as `loss`.
        data: a tensor or array ``[count, ...]``, a tuple of them with as many samples each, a torch `Dataset` of such
            samples, or a `DataLoader`, whose sampler, batch size and workers are used. A CVAE takes
            ``(condition, target)``. float64 arrays become torch's default dtype; nothing else is converted.
        epochs: passes over the data.
        batch_size: samples of a step, over all processes; a loader's own, else 128.
        validation: the share of the samples, the last ones, that is held out, or data as `data`. The weights that are
            kept are then of the epoch with the least loss on it, schedules of beta at their ends; else of the last.
        inputs: how many tensors of a sample the model takes, the first ones; by default as many as its forward pass
            needs, so that a VAE takes the images of ``(images, labels)``. ``inputs=2`` gives it ``(x, target)``.
        accumulate: parts that a batch is computed in, one after the other, to save memory.
        early_stopping: end after so many epochs in a row without a better validation loss.
        lr, adam_eps: of Adam.
        weight_decay: that of AdamW, for parameters of two and more dimensions.
        clip_grad: the greatest norm of a gradient.
        ema: decay of an average of the weights, such as 0.999, which is then what is validated and kept.
        warmup: steps in which the learning rate rises to its value.
        lr_schedule: ``"constant"``, ``"steps"`` or ``"cosine"`` (to 0 at the last step).
        lr_milestones, lr_decay: of ``"steps"``: the epochs after which the learning rate is multiplied, and by what.
        device: ``"cpu"``, ``"cuda"``, or ``"auto"``, CUDA where it is there. The model stays there.
        amp: ``"none"``, ``"bf16"`` or ``"fp16"``.
        compile: through torch.compile.
        seed: of the order and the noise.
        out: a folder for checkpoint, weights, metrics.csv and pictures: of the losses and, for a model of the library,
            of the latent and of images, which are bytes or numbers in [0, 1]. None writes nothing.
        resume: go on where `out` ends, with the bits of a run that was never interrupted; begin if it is new.
        keep_weights: those of every epoch, in ``out/weights``.
        tensorboard: log to ``out/tensorboard``.
        progress: show it: a bar on a terminal or in a notebook, else a line an epoch.

    Returns:
        A `Fit`: the model, a row of losses for each epoch, and the epoch whose weights are kept.

    Raises:
        TypeError: a model that is no module or returns no loss, or data of another kind.
        ValueError: an option out of its range or that contradicts another, data without samples or with too few
            tensors, a folder that is in use, damaged or of another run, a missing device, or a loss that is no longer
            finite.
        KeyboardInterrupt: Ctrl-C, after a step.

    Examples:
        >>> images = torch.rand(64, 1, 28, 28)  # yours
        >>> encoder, decoder, latent_shape = fastvae.networks.build("mlp", (1, 28, 28), 4, hidden=(16,))
        >>> vae = fastvae.VAE(encoder, decoder, latent_shape=latent_shape)
        >>> found = fastvae.fit(vae, images, epochs=2, validation=0.25, progress=False)
        >>> sorted(found.history[-1])
        ['epoch', 'seconds', 'train_elbo', 'train_kl', 'train_loss', 'train_reconstruction', 'validation_loss']
        >>> vae.training, vae.sample(16).shape
        (False, torch.Size([16, 1, 28, 28]))
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model: got {type(model).__name__}; takes a torch.nn.Module")
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError(f"model: got a {type(model).__name__} without parameters to learn; takes one with some")
    for name, value in {"resume": resume, "keep_weights": keep_weights, "tensorboard": tensorboard}.items():
        if value and out is None:
            raise ValueError(f"{name}: got True without out=; takes it with a folder")
    options = {
        "accumulate": accumulate, "early_stopping": early_stopping, "lr": lr, "adam_eps": adam_eps,
        "weight_decay": weight_decay, "clip_grad": clip_grad, "ema": ema, "warmup": warmup, "lr_schedule": lr_schedule,
        "lr_milestones": tuple(lr_milestones), "lr_decay": lr_decay, "amp": amp, "compile": compile, "seed": seed,
        "keep_weights": keep_weights, "tensorboard": tensorboard, "epochs": epochs,
    }  # fmt: skip
    with as_python_says():
        options["device"] = resolve.device(str(device))
        options["batch_size"] = samples.batch_size_of(data, batch_size, BATCH_SIZE)
        share = isinstance(validation, (int, float))
        # Whatever part of the data is held out, what needs some is right.
        settings = _settings({**options, "validation": float(validation) if share else 0.5})
        with group.join(settings.device, kept=True), random.separate(settings.seed, torch.device(settings.device)):
            _check(model, settings)
            train, held_out = _parts(model, data, validation, inputs, settings)
            with opened(out, settings, type(model).__name__, resume=resume) as folder:
                return _fitted(model, train, held_out, settings, folder, shown=progress)


def _settings(options: dict[str, Any]) -> Training:
    try:
        settings = Training(**options)
    except ValidationError as error:
        raise UserError(first_problem(error)) from error
    resolve.check_installed(settings)
    return settings


def _check(model: nn.Module, settings: Training) -> None:
    """A batch can be divided as it is to be."""
    cause = task.of_whole_batches(model)
    if cause is not None and settings.accumulate > 1:
        raise UserError(f"accumulate: got {settings.accumulate} with {cause}, which needs the whole batch; takes 1")
    if cause is not None and group.count() > 1:
        raise UserError(
            f"model: got {cause} in {group.count()} processes, which needs the whole batch; takes one process"
        )


def _parts(
    model: nn.Module, data: Any, validation: Any, inputs: int | None, settings: Training
) -> tuple[Source, Source | None]:
    """What is trained on, and what is held out."""
    device = group.started().device(settings.device)
    if inputs is not None and inputs < 1:
        raise ValueError(f"inputs: got {inputs}; takes 1 or more")
    taken = task.inputs_of(model) if inputs is None else inputs
    train = samples.source("data", data, taken, device, settings.batch_size)
    if not isinstance(validation, (int, float)):
        size = samples.batch_size_of(validation, None, settings.batch_size)
        return train, samples.source("validation", validation, taken, device, size)
    if not validation:
        return train, None
    if train.sampler is not None:
        raise ValueError(f"validation: got {validation:g} with a DataLoader, whose sampler chooses; takes data, or 0")
    kept = left_to_train(train.size, validation)
    if not kept:
        raise ValueError(f"validation: got {validation:g} of {train.size} samples; takes a share that leaves some")
    return train.part(0, kept), train.part(kept, train.size)


def _fitted(
    model: nn.Module,
    train: Source,
    held_out: Source | None,
    settings: Training,
    folder: FitFolder | None,
    *,
    shown: bool,
) -> Fit:
    some = _some(train if held_out is None else held_out)
    given = task.Given(model, some[-1].shape[1:])
    loop = Loop(given, settings, Parts(train, held_out, sampler=train.sampler), folder)
    if shown and group.rank() == 0:
        click.echo(loop.legend.text)
    try:
        loop.fit(shown=shown)
    except KeyboardInterrupt as interrupt:
        if folder is not None:
            interrupt.add_note(f"after epoch {len(loop.history)}; the same call with resume=True goes on from there")
        raise
    if loop.trained is not model:
        model.load_state_dict(loop.trained.state_dict())
    model.eval()
    if folder is not None and group.rank() == 0:
        _save(model, folder)
        pictures.draw(folder, model, some, loop.history, settings.seed)
    return result(model, loop.history, stopped=loop.stopped, folder=None if folder is None else folder.path)


def _some(source: Source) -> tuple[Tensor, ...]:
    """The first samples, as many as pictures are drawn of."""
    with closing(source.at([torch.arange(min(source.size, pictures.SHOWN))])) as batches:
        return next(batches)


def _save(model: nn.Module, folder: FitFolder) -> None:
    """What `fastvae.load` reads, where the networks are such that a file can describe them."""
    if isinstance(model, (VAE, CVAE)):
        try:
            model.save_pretrained(folder.path)
        except ValueError:
            return
