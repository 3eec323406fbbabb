"""Models in folders and on the Hugging Face Hub: config.json and model.safetensors. No pickle is written or read."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, cast

import torch

from fastvae import _sealed

if TYPE_CHECKING:
    from fastvae.modules._latent import LatentVariableModel

CONFIG: Final = "config.json"
WEIGHTS: Final = "model.safetensors"


class Saved:
    """What `VAE`, `BetaVAE` and `CVAE`, and classes made of them, are saved and loaded by."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Keeps what a class of the user's own is constructed with: of no other description is it made again."""
        made = super().__new__
        instance = made(cls) if made is object.__new__ else made(cls, *args, **kwargs)
        if cls.__module__.partition(".")[0] != "fastvae":
            vars(instance)["_constructed_with"] = args, kwargs
        return instance

    def save_pretrained(self, folder: str | Path) -> None:
        """Write ``config.json`` and ``model.safetensors``, from which `from_pretrained` makes the same model.

        Networks are described by what `fastvae.networks.build` was given, and the model by its options: a model of
        other networks, or with a likelihood, a prior or a weight of your own, is saved by its ``state_dict()``, or as a
        class of your own. Such a class, ``class MyVAE(VAE)``, is described by the arguments that its constructor was
        given: numbers, names, lists and dicts of them, and what is named above.

        Args:
            folder: made if need be; the two files in it are replaced.

        Raises:
            ValueError: a part of the model that cannot be described, which is named; parameters that are sharded.
            ImportError: safetensors is missing.

        Examples:
            >>> encoder, decoder, latent_shape = fastvae.networks.build("mlp", (1, 8, 8), 4)
            >>> vae = fastvae.VAE(encoder, decoder, latent_shape=latent_shape)
            >>> vae.save_pretrained("my-vae")
            >>> again = fastvae.VAE.from_pretrained("my-vae")
            >>> torch.equal(vae.sample(2, seed=0), again.sample(2, seed=0))
            True
        """
        from fastvae.modules._described import described

        _check_safetensors()
        model = cast("LatentVariableModel", self)
        state = model.state_dict()
        if any(hasattr(value, "full_tensor") for value in state.values()):
            raise ValueError("model: got parameters sharded over processes; takes a whole model")
        config = json.dumps(described(model), indent=2) + "\n"
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / WEIGHTS, _sealed.sealed(state, {"format": "pt"}))
        _write(folder / CONFIG, [config.encode()])

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, device: str | torch.device = "cpu", **hub: Any) -> Self:
        """The model that `save_pretrained` or `push_to_hub` has written, in eval mode; one of your own class by it.

        Args:
            folder: a folder, or the name of a repository on the Hugging Face Hub, such as ``"user/model"``.
            device: where the weights go; they keep their dtypes. If the file has the checksum that `save_pretrained`
                writes, it is compared; files of other programs have none.
            **hub: of a repository, as `huggingface_hub.snapshot_download` takes them: ``revision=``, ``token=``,
                ``cache_dir=``, ``local_files_only=``.

        Returns:
            A model of the class it is called on, or of one derived from it.

        Raises:
            FileNotFoundError: no such folder, or not both files in it.
            ValueError: files that are damaged, do not belong together or hold a model of another class.
            ImportError: safetensors, or for a repository huggingface_hub, is missing.

        Examples:
            >>> encoder, decoder, latent_shape = fastvae.networks.build("mlp", (1, 8, 8), 4)
            >>> fastvae.BetaVAE(encoder, decoder, latent_shape=latent_shape).save_pretrained("my-vae")
            >>> model = fastvae.VAE.from_pretrained("my-vae", device="cpu")
            >>> type(model).__name__, model.training
            ('BetaVAE', False)
            >>> model = fastvae.VAE.from_pretrained("user/model", revision="main")  # doctest: +SKIP
        """
        from fastvae.modules._described import rebuilt

        _check_safetensors()
        path = _local(folder, hub)
        for name in (CONFIG, WEIGHTS):
            if not (path / name).is_file():
                raise FileNotFoundError(
                    f"folder: got {str(folder)!r}, without a {name}; takes what save_pretrained wrote"
                )
        try:
            config = json.loads((path / CONFIG).read_bytes())
            kind = config.get("class", cls.__name__)
            if kind == cls.__name__:
                tensors, _ = _sealed.opened(path / WEIGHTS, str(device), required=False)
                model = rebuilt(config, tensors, cls)
        except (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
            message = f"{path}: damaged, or of another version of fastvae ({type(error).__name__}: {error})"
            raise ValueError(" ".join(message.split())) from error
        if kind != cls.__name__:
            raise ValueError(f"folder: got {str(folder)!r}, a {kind}; takes {kind}.from_pretrained")
        if not isinstance(model, cls):
            raise ValueError(f"folder: got {str(folder)!r}, a {type(model).__name__}; takes a {cls.__name__}")
        return model.eval()

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Upload what `save_pretrained` writes, with a model card, to the Hugging Face Hub.

        Args:
            repo_id: such as ``"user/model"``, made if need be.
            **options: as `huggingface_hub.ModelHubMixin.push_to_hub` takes them: ``private=``, ``token=``, ``branch=``.

        Returns:
            The address of the commit.

        Raises:
            ValueError: as of `save_pretrained`.
            ImportError: huggingface_hub or safetensors is missing.

        Examples:
            >>> encoder, decoder, latent_shape = fastvae.networks.build("mlp", (1, 8, 8), 4)
            >>> vae = fastvae.VAE(encoder, decoder, latent_shape=latent_shape)
            >>> vae.push_to_hub("user/model", private=True)  # doctest: +SKIP
            'https://huggingface.co/user/model/commit/...'
        """
        try:
            from fastvae.modules._hub import Uploaded
        except ImportError as error:
            raise ImportError(_lacking("huggingface_hub")) from error
        return Uploaded(self).push_to_hub(repo_id, **options)


def _local(folder: str | Path, hub: dict[str, Any]) -> Path:
    """A folder as it is, a repository's download."""
    path = Path(folder)
    if path.is_dir():
        if hub:
            raise ValueError(f"{', '.join(hub)}: got a value with a folder of this machine; takes none")
        return path
    if not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", str(folder)):
        raise FileNotFoundError(
            f"folder: got {str(folder)!r}, which is none; takes a folder or a repository 'user/model'"
        )
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise ImportError(f"folder: got {str(folder)!r}, which is none here; {_lacking('huggingface_hub')}") from error
    return Path(snapshot_download(str(folder), allow_patterns=[CONFIG, WEIGHTS], **hub))


def _write(path: Path, content: Sequence[bytes | memoryview]) -> None:
    """A file that is the old one or the new one, whenever the process is killed."""
    partial = path.with_name(f".partial-{path.name}")
    try:
        with partial.open("wb") as file:
            file.writelines(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _check_safetensors() -> None:
    try:
        import safetensors.torch  # noqa: F401
    except ImportError as error:
        raise ImportError(_lacking("safetensors")) from error


def _lacking(package: str) -> str:
    return f"{package} is not installed; takes pip install 'fastvae[hub]'"
