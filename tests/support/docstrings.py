"""The public names of fastvae, and the sections of their docstrings."""

from __future__ import annotations

import ast
import builtins
import doctest
import importlib
import importlib.util
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any, Final, NamedTuple, is_typeddict

ROOMS: Final = ("", ".distributions", ".functional", ".losses", ".modules", ".networks", ".presets")
SECTIONS: Final = ("Args", "Attributes", "Returns", "Raises", "Examples")
_SECTION: Final = rf"^({'|'.join(SECTIONS)}):\n((?:(?:    .*)?\n)+)"


class Public(NamedTuple):
    """A public function or class, or a method or property of one.

    Attributes:
        name: from the package on, ``"fastvae.VAE.encode"``.
        value: what it is, without what `classmethod` or `property` puts around it.
        owner: the class of a method.
        is_property: it is read, not called.
        overridden: the methods of the owner's other bases that have its name.
    """

    name: str
    value: Any
    owner: type | None = None
    is_property: bool = False
    overridden: tuple[Any, ...] = ()

    @property
    def sections(self) -> dict[str, str]:
        """The text of each section by its title; those of an overridden method where it has none of its own."""
        return {title: text for each in (*self.overridden[::-1], self.value) for title, text in _sections(each).items()}

    @property
    def described(self) -> set[str]:
        """The parameters and attributes that are named."""
        return _heads(self.sections.get("Args", "")) | _heads(self.sections.get("Attributes", ""))

    @property
    def arguments(self) -> set[str]:
        """What its own docstring says are arguments, but for ``*`` and ``**``."""
        return {name for name in _heads(_sections(self.value).get("Args", "")) if not name.startswith("*")}

    @property
    def exceptions(self) -> set[str]:
        """Those that it says it raises."""
        return _heads(self.sections.get("Raises", ""))

    @property
    def parameters(self) -> set[str]:
        """Those it takes itself, with ``**`` before the name of what it passes on; the fields of a tuple or dict."""
        if self.is_property:
            return set()
        if inspect.isclass(self.value) and issubclass(self.value, (dict, tuple)):
            return set() if is_typeddict(self.value) else set(inspect.get_annotations(self.value))
        function = _constructor(self.value) if inspect.isclass(self.value) else self.value
        if function is None:
            return set()
        code = inspect.unwrap(function).__code__
        count = code.co_argcount + code.co_kwonlyargcount
        named = set(code.co_varnames[:count]) - {"self", "cls"}
        for stars, flag in (("*", inspect.CO_VARARGS), ("**", inspect.CO_VARKEYWORDS)):
            if code.co_flags & flag:
                named.add(stars + code.co_varnames[count])
                count += 1
        return named

    @property
    def raised(self) -> set[str]:
        """The exceptions that its own code raises."""
        function = self.value
        if inspect.isclass(self.value):
            function = None if is_dataclass(self.value) else _constructor(self.value)
        if not inspect.isfunction(function):
            return set()
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))
        calls = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)]
        return {ast.unparse(call.func) for call in calls} & vars(builtins).keys()

    @property
    def returns(self) -> bool:
        """It is called for what it returns."""
        annotation = inspect.get_annotations(self.value).get("return")
        return not inspect.isclass(self.value) and not self.is_property and annotation not in (None, "None")

    @property
    def examples(self) -> list[doctest.Example]:
        """What the section of examples has a reader type."""
        return doctest.DocTestParser().get_examples(_sections(self.value).get("Examples", ""))


def _sections(value: object) -> dict[str, str]:
    found = re.findall(_SECTION, inspect.cleandoc(value.__doc__ or "") + "\n", re.MULTILINE)
    return {title: textwrap.dedent(text).strip("\n") for title, text in found}


def _heads(section: str) -> set[str]:
    """What a section of ``name, name: text`` names."""
    heads = re.findall(r"^(\S.*?):", section, re.MULTILINE)
    return {name for head in heads for name in head.split(", ")}


def _constructor(kind: type) -> Any:
    """The `__init__` that fastvae wrote for a class, if it did."""
    found = [vars(base)["__init__"] for base in kind.__mro__ if "__init__" in vars(base)]
    return next((each for each in found if (getattr(each, "__module__", None) or "").startswith("fastvae")), None)


def used(examples: list[doctest.Example]) -> set[str]:
    """Every name and attribute that stands in examples, and what they define."""
    nodes = [node for example in examples for node in ast.walk(ast.parse(example.source))]
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    names |= {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    return names | {node.attr for node in nodes if isinstance(node, ast.Attribute)}


def public() -> Iterator[Public]:
    """All of them, each once, by the first name that it has."""
    seen: set[int] = set()
    for room in ROOMS:
        module = importlib.import_module(f"fastvae{room}")
        for name in module.__all__:
            value = getattr(module, name)
            if id(value) in seen or not (inspect.isclass(value) or inspect.isfunction(value)):
                continue
            seen.add(id(value))
            yield Public(f"fastvae{room}.{name}", value)
            if inspect.isclass(value):
                yield from _methods(f"fastvae{room}.{name}", value, seen)
    yield from _returned()


def _returned() -> Iterator[Public]:
    """What a public function returns that has no public name of its own."""
    if importlib.util.find_spec("pydantic"):
        kind = importlib.import_module("fastvae.train.python.result").Fit
        yield Public("fastvae.train.python.result.Fit", kind)


def _methods(name: str, kind: type, seen: set[int]) -> Iterator[Public]:
    """What `kind` and its bases in fastvae define; an inherited method stands with the first class that has it."""
    bases = [base for base in kind.__mro__ if base.__module__.startswith("fastvae")]
    for number, base in enumerate(bases):
        for attribute, value in vars(base).items():
            function = _function(value)
            own = not attribute.startswith("_") and attribute != "extra_repr"  # which is torch's, for `repr`
            if not own or not inspect.isfunction(function) or id(function) in seen:
                continue
            seen.add(id(function))
            overridden = tuple(
                _function(vars(other)[attribute]) for other in bases[number + 1 :] if attribute in vars(other)
            )
            yield Public(f"{name}.{attribute}", function, kind, isinstance(value, property), overridden)


def _function(value: object) -> Any:
    """What `classmethod`, `staticmethod` or `property` wraps."""
    return getattr(value, "__func__", getattr(value, "fget", value))
