"""How far an exported model is from the model, into docs/export.md.

python -m tools.export_differences     needs the extra `export`, and a C++ compiler
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import onnxruntime
import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from bench import pages
from fastvae import VAE, networks

PAGE: Final = Path(__file__).parent.parent / "docs" / "export.md"
_PART: Final = "differences"
_BATCH: Final = 64


class Asked(nn.Module):
    """What the table has a column of."""

    def __init__(self, model: VAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Each column, by its head."""
        posterior, output = self.model.encode(x), self.model(x, sample=False)
        return {
            "`mu`": posterior.mu, "`std`": posterior.std, "`reconstruct`": self.model.reconstruct(x),
            "`loss`": output.loss, "`kl`": output.kl,
        }  # fmt: skip


def _onnx(program: ExportedProgram) -> Callable[[Tensor], list[Tensor]]:
    exported = torch.onnx.export(program, dynamo=True, verbose=False)
    assert exported is not None
    session = onnxruntime.InferenceSession(exported.model_proto.SerializeToString())
    name = session.get_inputs()[0].name
    return lambda x: [torch.from_numpy(value) for value in session.run(None, {name: x.numpy()})]


def _aot_inductor(program: ExportedProgram) -> Callable[[Tensor], dict[str, Tensor]]:
    with tempfile.TemporaryDirectory() as folder:
        path = torch._inductor.aoti_compile_and_package(program, package_path=f"{folder}/model.pt2")
        run: Callable[[Tensor], dict[str, Tensor]] = torch._inductor.aoti_load_package(path)
    return run


def _differences(found: Any, expected: dict[str, Tensor]) -> Iterator[str]:
    values = list(found.values()) if isinstance(found, dict) else found
    for value, other in zip(values, expected.values(), strict=True):
        yield f"{((value - other).abs().max() / other.abs().max()).item():.1e}"


def _rows() -> Iterator[Sequence[str]]:
    torch.manual_seed(0)
    encoder, decoder, latent_shape = networks.build("conv", (1, 28, 28), 16)
    asked = Asked(VAE(encoder, decoder, latent_shape=latent_shape)).eval().requires_grad_(False)
    x = torch.rand(_BATCH, 1, 28, 28)
    example = x[:2]
    program = torch.export.export(asked, (example,), dynamic_shapes={"x": {0: Dim.DYNAMIC}})
    runtimes: dict[str, Callable[[Tensor], Any]] = {
        "`torch.export`": program.module(),
        "`torch.jit.trace`": torch.jit.trace(asked, (example,), strict=False),
        f"ONNX, onnxruntime {onnxruntime.__version__}": _onnx(program),
        "AOTInductor": _aot_inductor(program),
    }
    for name, run in runtimes.items():
        yield [name, *_differences(run(x), asked(x))]


def page(text: str) -> str:
    """The text of the page with the table in its place."""
    head = ("runtime", "`mu`", "`std`", "`reconstruct`", "`loss`", "`kl`")
    return pages.insert(text, _PART, pages.table(head, _rows(), text_columns=1))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
