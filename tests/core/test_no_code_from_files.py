"""No file is read that may hold code: neither a pickle, nor text that is evaluated, nor a shell's command."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import fastvae

PACKAGE = Path(fastvae.__file__).parent
# Modules that read pickles or other code.
MODULES = {"pickle", "cPickle", "_pickle", "shelve", "marshal", "dbm", "joblib", "dill", "cloudpickle", "runpy", "code"}
# Functions by the end of their dotted names.
FUNCTIONS = {
    *("eval", "exec", "compile", "__import__"),
    *("torch.load", "torch.save", "torch.package.PackageImporter", "torch.hub.load", "torch.export.load"),
    *("pandas.read_pickle", "pd.read_pickle", "yaml.load", "yaml.unsafe_load", "yaml.full_load"),
    *("os.system", "os.popen", "literal_eval"),
}
# Whoever reads arrays says that they are none of objects.
OF_ARRAYS = {"np.load", "numpy.load", "npy.read_array", "np.lib.format.read_array", "np.lib.format.open_memmap"}
# What is allowed all the same, and why.
TRUSTED = {
    ("_schema.py", "eval"): "source made of the ops' own signatures, of which no file decides anything",
    ("train/quality/features.py", "torch.jit.load"): "a TorchScript network that the user names, which is a program",
}


def dotted(node: ast.expr) -> str:
    return ast.unparse(node) if isinstance(node, (ast.Name, ast.Attribute)) else ""


def keyword(call: ast.Call, name: str) -> object:
    """The value of an argument that is written as a constant."""
    return next(
        (each.value.value for each in call.keywords if each.arg == name and isinstance(each.value, ast.Constant)), None
    )


def refused(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            yield f"from {node.module}"
        elif isinstance(node, ast.Call):
            name = dotted(node.func)
            if name in FUNCTIONS or name == "torch.jit.load" or (name.endswith(".eval") and node.args):
                yield name
            if name in OF_ARRAYS and keyword(node, "allow_pickle") is not False:
                yield f"{name} without allow_pickle=False"
            if keyword(node, "shell") is True or keyword(node, "allow_pickle") is True:
                yield f"{name} with a shell or pickles"


def test_the_source_reads_no_code() -> None:
    files = {file.relative_to(PACKAGE).as_posix(): file for file in sorted(PACKAGE.rglob("*.py"))}
    found = {(name, what) for name, file in files.items() for what in refused(file.read_text(encoding="utf-8"))}
    assert found == TRUSTED.keys()


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import os, marshal as m",
        "from joblib import load",
        "from pickle import Unpickler as U",
        "def f():\n    import torch\n    return torch.load(path, weights_only=True)",
        "np.load(path)",
        "np.load(path, mmap_mode='r', allow_pickle=True)",
        "npy.read_array(file)",
        "eval(text)",
        "pandas.eval(text)",
        "exec(text)",
        "yaml.load(text)",
        "subprocess.run('ls', shell=True)",
        "os.system('ls')",
        "torch.jit.load(path)",
    ],
)
def test_what_reads_code_is_found(source: str) -> None:
    assert list(refused(source))


@pytest.mark.parametrize(
    "source",
    [
        "np.load(path, allow_pickle=False)",
        "model.eval()",
        "re.compile(text)",
        "json.load(file)",
        "subprocess.run(['ls'])",
    ],
)
def test_what_reads_none_is_not(source: str) -> None:
    assert not list(refused(source))
