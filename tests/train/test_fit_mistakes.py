"""What `fastvae.fit` says of a mistake, and on several processes."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import fastvae
from tests.train.fits import QUIET, Regression, cvae, images, pairs, vae

pytestmark = pytest.mark.usefixtures("one_thread")


class Stream(IterableDataset):
    def __iter__(self):
        yield torch.rand(1, 4, 4)


class Pairs(TensorDataset):
    """Samples as dicts."""

    def __getitem__(self, index):
        return {"x": super().__getitem__(index)[0]}


TAKES = "takes a tensor, an array, a tuple of them, a torch Dataset or a DataLoader$"


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        ("images", TypeError, f"^data: got .*; {TAKES}"),
        ([[1.0], [2.0]], TypeError, f"^data: got a list in a tuple; {TAKES}"),
        (torch.tensor(1.0), TypeError, f"^data: got .*; {TAKES}"),
        (np.array(["a"], object), TypeError, "^data: got an array of objects; takes numbers$"),
        (torch.empty(0, 1, 4, 4), ValueError, "^data: got no samples; takes one or more$"),
        ((), ValueError, "^data: got no samples; takes one or more$"),
        (TensorDataset(torch.empty(0, 1, 4, 4)), ValueError, "^data: got no samples; takes one or more$"),
        ((torch.rand(3, 2), torch.rand(4, 2)), ValueError, "; takes as many samples of each$"),
        (Stream(), TypeError, "^data: got a Stream, without a length; takes a data set with one$"),
        (DataLoader(Stream(), batch_size=2), TypeError, "^data: got a Stream, without a length; takes a data set with"),
        (
            DataLoader(TensorDataset(images()), batch_size=None),
            ValueError,
            "^data: got a DataLoader without a batch",
        ),
        (Pairs(images()), TypeError, "^data: got a dict in a batch; takes a tensor or a tuple of tensors$"),
    ],
)
def test_data(data, kind, message):
    with pytest.raises(kind, match=message):
        fastvae.fit(vae(), data, epochs=1, **QUIET)


def test_samples_of_too_few_tensors():
    with pytest.raises(ValueError, match=r"^data: got 1 tensor a sample; takes the 2 of the model$"):
        fastvae.fit(cvae(), pairs()[0], epochs=1, **QUIET)
    with pytest.raises(ValueError, match=r"^validation: got 1 tensor a sample; takes the 2 of the model$"):
        fastvae.fit(cvae(), pairs(), epochs=1, validation=pairs()[1], **QUIET)


LOADER = DataLoader(TensorDataset(images()), batch_size=5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "^epochs: got 0; input should be greater than or equal to 1$"),
        ({"lr": -1.0}, "^lr: got -1.0; input should be greater than 0$"),
        ({"amp": "half"}, "^amp: got 'half'; "),
        ({"device": "tpu"}, "^device: got 'tpu'; "),
        ({"validation": 1.0}, "^validation: got 1.0; "),
        ({"validation": 0.999}, "^validation: got 0.999 of 70 samples; takes a share that leaves some$"),
        ({"early_stopping": 3}, "^early_stopping: got 3; takes none with validation 0"),
        ({"lr_decay": 0.5}, "^lr_decay: got 0.5; takes 0.1 with lr_schedule 'constant'$"),
        ({"lr_schedule": "cosine", "warmup": 99}, "^warmup: got 99; takes less than the 1 steps of the run"),
        ({"batch_size": 8, "accumulate": 9}, "^accumulate: got 9; takes at most the batch_size, 8$"),
        ({"inputs": 0}, "^inputs: got 0; takes 1 or more$"),
        ({"inputs": 2}, r"^data: got 1 tensor a sample; takes the 2 of the model$"),
        ({"data": LOADER, "batch_size": 6}, "^batch_size: got 6 with a DataLoader of 5; takes 5 or none$"),
        (
            {"data": LOADER, "validation": 0.1},
            "^validation: got 0.1 with a DataLoader, whose sampler chooses; takes",
        ),
        ({"lr": 1e30, "epochs": 3}, "^training diverged: .*; try a smaller lr$"),
    ],
)
def test_options(options, message):
    given = {"data": images(), "epochs": 1} | QUIET | options
    with pytest.raises(ValueError, match=message):
        fastvae.fit(vae(), **given)


@pytest.mark.parametrize(
    ("model", "kind", "message"),
    [
        (lambda x, y: x.sum(), TypeError, "^model: got function; takes a torch.nn.Module$"),
        (torch.nn.Flatten(), ValueError, "^model: got a Flatten without parameters to learn; takes one with some$"),
        (Regression(lambda loss: (loss, 1)), TypeError, "^model: got .* from its forward pass; takes a loss, or a"),
        (Regression(lambda loss: {"other": loss}), TypeError, "^model: got .* from its forward pass; takes a loss"),
        (Regression(lambda loss: loss[None]), ValueError, r"^model: got a loss of shape \[1\]; takes one number"),
    ],
)
def test_models(model, kind, message):
    with pytest.raises(kind, match=message):
        fastvae.fit(model, pairs(), epochs=1, **QUIET)


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({"capacity": 2.0}, "capacity"),
        ({"total_correlation": 2.0, "dataset_size": 70}, "total_correlation"),
        ({"preset": "pytorch-examples"}, "preset 'pytorch-examples'"),
    ],
)
def test_objectives_of_whole_batches(options, cause):
    with pytest.raises(ValueError, match=f"^accumulate: got 2 with .*{cause}.*, which needs the whole batch; takes 1$"):
        fastvae.fit(vae(**options), images(), epochs=1, accumulate=2, batch_size=35, **QUIET)
    if "preset" not in options:
        fastvae.fit(vae(**options), images(), epochs=1, batch_size=35, **QUIET)


WITHOUT = """
import sys; sys.modules['pydantic'] = None
import fastvae, pydoc
from fastvae import *
assert {'fit', 'load'} <= set(dir(fastvae))
assert 'pip install' in fit.__doc__ and 'pip install' in pydoc.plain(pydoc.render_doc(fastvae))
"""


@pytest.mark.parametrize(
    ("name", "call"),
    [("fit", "fit(None, [], epochs=1)"), ("load", "fastvae.load('run')"), ("fit", "fastvae.fit.of_a_module")],
)
def test_it_says_what_to_install_when_it_is_called(name, call):
    result = subprocess.run([sys.executable, "-c", WITHOUT + call], capture_output=True, text=True, check=False)
    *_, line = result.stderr.splitlines()
    assert line == f"ImportError: fastvae.{name}: pydantic is not installed; takes pip install 'fastvae[train]'"
    assert "During handling" not in result.stderr


SCRIPT = """
import os, sys, torch, fastvae
from torch.utils.data import DataLoader, TensorDataset
from tests.train.fits import BATCH, QUIET, Regression, images, pairs, vae
torch.set_num_threads(1)
out, rank = sys.argv[1], int(os.environ.get("RANK", 0))
model = vae()
with torch.no_grad():
    next(model.parameters()).add_(rank)  # of other first weights than the first process has
torch.manual_seed(rank)
options = dict(epochs=2, validation=0.2, ema=0.9, **QUIET)
found = fastvae.fit(model, images(), batch_size=BATCH, out=out + "/one", **options)
loader = DataLoader(TensorDataset(images()), batch_size=BATCH, shuffle=True)
fastvae.fit(vae(), loader, out=out + "/two", **options | {"validation": images(9)})
torch.save(model.state_dict(), f"{out}/{rank}.pt")
class Seen(Regression):
    def forward(self, x, y):
        torch.save(torch.get_rng_state(), f"{out}/noise-{rank}.pt")
        return super().forward(x, y)
fastvae.fit(Seen(), pairs(), batch_size=BATCH, epochs=1, **QUIET)
os._exit(0)  # threads of torch's process groups may abort an interpreter that takes itself apart
"""


@pytest.mark.slow
def test_two_processes_train_the_model_of_one(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    for name, arguments in (("single", []), ("double", launcher)):
        (tmp_path / name).mkdir()
        command = [sys.executable, *arguments, str(tmp_path / "script.py"), str(tmp_path / name)]
        result = subprocess.run(
            command, env=environment, cwd=root, capture_output=True, text=True, check=False, timeout=200
        )
        assert result.returncode == 0, result.stderr
    for run in ("one", "two"):
        ours, theirs = (load_file(tmp_path / name / run / "weights.safetensors") for name in ("double", "single"))
        for name, weights in theirs.items():
            torch.testing.assert_close(ours[name], weights, rtol=1e-2, atol=1e-3)
    first, second = (torch.load(tmp_path / "double" / f"{rank}.pt") for rank in (0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
    # Rows of one batch have noise of their own, in a module that knows nothing of shards.
    noise = [torch.load(tmp_path / "double" / f"noise-{rank}.pt") for rank in (0, 1)]
    assert not torch.equal(*noise)
