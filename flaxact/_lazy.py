"""Lazy imports, so that ``import flaxact`` and error messages are fast."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from flaxact.errors import hint, nearest

if TYPE_CHECKING:
    import jax
    import jax.numpy as jnp
    import numpy as np
else:

    class _Module:
        def __init__(self, name: str):
            self._name = name

        def __getattr__(self, attribute: str) -> Any:
            value = getattr(importlib.import_module(self._name), attribute)
            setattr(self, attribute, value)
            return value

    jax = _Module("jax")
    jnp = _Module("jax.numpy")
    np = _Module("numpy")

__all__ = ["attach", "jax", "jnp", "listing", "np"]


def attach(module: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a public package; ``__dir__`` lists its ``__all__``.

    A name in the file's ``if TYPE_CHECKING:`` block is imported, from where that block imports it,
    when it is first used.

    Args:
      module: its ``__name__``.
    """

    def get(name: str) -> Any:
        if name == "__all__" and "*" in (homes := _homes(module)):
            return [*importlib.import_module(homes["*"]).__all__, *sorted(homes.keys() - {"*"})]
        homes = {} if name.startswith("_") else _homes(module)
        if name not in homes and _is_submodule(module, name):
            homes = {}  # ``from flaxact import doctor`` asks here first, and should load nothing else
        home = homes.get(name, homes.get("*"))
        if home == module:
            return importlib.import_module(f"{module}.{name}")
        value = getattr(importlib.import_module(home), name, None) if home else None
        if value is None or isinstance(value, ModuleType):
            close = nearest(name, listed()) if homes else None
            message = f"module {module!r} has no attribute {name!r}"
            raise AttributeError(message + hint(close) if close else message)
        setattr(sys.modules[module], name, value)  # found at once the next time
        return value

    listed = listing(module)
    return get, listed


def listing(module: str) -> Callable[[], list[str]]:
    """``__dir__`` of a public module: its ``__all__``, or what it defines; without its imports.

    Args:
      module: its ``__name__``.
    """

    def listed() -> list[str]:
        module_object = sys.modules[module]
        own = [n for n, v in vars(module_object).items() if getattr(v, "__module__", "") == module]
        return sorted(getattr(module_object, "__all__", (n for n in own if not n.startswith("_"))))

    return listed


def _is_submodule(package: str, name: str) -> bool:
    folder = Path(str(sys.modules[package].__file__)).parent
    return (folder / name).is_dir() or (folder / f"{name}.py").is_file()


@functools.cache
def _homes(module: str) -> dict[str, str]:
    """The module that each name in the ``TYPE_CHECKING`` block is imported from."""
    import ast

    source = Path(str(sys.modules[module].__file__)).read_text("utf-8")
    blocks = (node for node in ast.parse(source).body if isinstance(node, ast.If))
    return {
        name.name: node.module or ""
        for block in blocks
        if ast.unparse(block.test) == "TYPE_CHECKING"
        for node in block.body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("flaxact")
        for name in node.names
    }
