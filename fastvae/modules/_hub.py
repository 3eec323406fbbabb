"""The part of saving that needs huggingface_hub."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import ModelHubMixin

from fastvae.modules._saved import Saved


class Uploaded(ModelHubMixin, library_name="fastvae", tags=["variational-autoencoder"]):
    """A model as huggingface_hub uploads it.

    Not PyTorchModelHubMixin, a base class of models, which would be imported with fastvae and reads pickles.
    """

    def __init__(self, model: Saved) -> None:
        self._model = model

    def _save_pretrained(self, save_directory: Path) -> None:
        self._model.save_pretrained(save_directory)
