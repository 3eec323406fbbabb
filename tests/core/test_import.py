"""`import fastvae` is light: no Triton, no plotting, no CUDA, no second OpenMP."""

import inspect
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import fastvae
import fastvae.functional as F
import fastvae.reference


def python(code, **environment):
    """What a fresh interpreter prints."""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**{k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}, **environment},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


USE = """
import torch, fastvae.functional as F
moments = torch.zeros(3, 4, requires_grad=True)
z, kl = F.reparameterize_kl_packed(moments)
(F.mse_loss(z, torch.zeros(3, 2)) + kl + F.log_normal(z).sum() + F.importance_weighted_bound(z).sum()).backward()
"""
LOADED = """
import sys
roots = {name.split('.')[0] for name in sys.modules}
print(*sorted(roots & {'triton', 'matplotlib', 'click', 'safetensors', 'huggingface_hub', 'sklearn', 'PIL'}))
rooms = ('fastvae.train', 'fastvae._triton', 'torch.distributed.fsdp')
print(*[name for name in sys.modules if name.startswith(rooms)])
print(*['cuda'] * sys.modules['torch'].cuda.is_initialized())
"""


LATER = """
import sys, fastvae
for name in ('networks', 'reference'):
    print('fastvae.' + name in sys.modules, getattr(fastvae, name).__name__)
"""
OPENMP = """
import re
with open('/proc/self/maps') as maps:
    found = {line.split()[-1] for line in maps if re.search(r'lib(g|i)?omp', line)}
print(len(found))
"""


ORDERS = ("import torch, fastvae", "import fastvae", "import fastvae._C\nimport torch")


def test_importing_and_using_it_on_the_cpu_loads_nothing_heavy():
    assert python("import fastvae\nfrom fastvae import functional\n" + USE + LOADED) == []


def test_what_an_import_need_not_wait_for_is_imported_by_those_who_ask():
    assert python(LATER) == ["False", "fastvae.networks", "False", "fastvae.reference"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/self/maps")
@pytest.mark.parametrize("first", ORDERS)
def test_one_openmp_runtime(first):
    """The extension uses torch's OpenMP: a second one would fight it over the cores."""
    assert python(first + "\n" + USE + OPENMP) == ["1"]


# An editable install's own finder, which no working directory hides it from, is left out.
HIDDEN = "import sys; sys.meta_path = [f for f in sys.meta_path if f.__module__.startswith('_frozen_importlib')]; "


@pytest.mark.parametrize("code", ["import fastvae", "import fastvae._C", "from fastvae import functional"])
def test_sources_that_hide_the_installed_copy_say_what_to_do(code, tmp_path):
    source = Path(fastvae.__file__).parent
    shutil.copytree(source, tmp_path / "fastvae", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    command = [sys.executable, "-c", HIDDEN + code]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    *_, line = result.stderr.splitlines()
    assert line == (
        f"ImportError: fastvae: got its sources in {tmp_path / 'fastvae'}, which have no compiled extension and hide "
        "an installed copy; takes another working directory: cd .., or an editable install of the checkout: pip "
        "install -e ."
    )
    assert "During handling" not in result.stderr
    frames = [line for line in result.stderr.splitlines() if line.startswith("  File")]
    assert len(frames) == 3  # the import, the package's, and the line that says so


def test_the_version_is_the_one_of_the_project():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert fastvae.__version__ == project["version"]
    from fastvae import __version__

    assert __version__ == fastvae.__version__
    with pytest.raises(AttributeError, match="module 'fastvae' has no attribute 'version'"):
        _ = fastvae.version


def test_public_names():
    for module in (fastvae, F, fastvae.reference):
        assert all(hasattr(module, name) for name in module.__all__)
        assert len(set(module.__all__)) == len(module.__all__)
    assert set(fastvae.reference.__all__) <= set(F.__all__)


def test_the_reference_has_the_same_signatures():
    for name in fastvae.reference.__all__:
        assert inspect.signature(getattr(F, name)) == inspect.signature(getattr(fastvae.reference, name))
