"""A user's own code, imported by ``flaxact --import``: activations, models, data sets."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from flaxact.errors import InputError, unknown

OPTION = "--import"
# Of what was imported, files by their absolute paths, so that jobs can do it too.
names: list[str] = []


def imported(arguments: list[str]) -> list[str]:
    """Import what leading ``--import`` options name; returns the other arguments.

    Raises:
      InputError: as ``load``; or ``--import`` without a name.
    """
    while arguments and arguments[0].partition("=")[0] == OPTION:
        first, *rest = arguments
        name = first.partition("=")[2]
        remaining = rest
        if "=" not in first:
            name = rest[0] if rest else ""
            remaining = rest[1:]
        load(name)
        arguments = remaining
    return arguments


def load(name: str) -> ModuleType:
    """Import a Python file, or a module by name from where ``python`` would find it.

    Raises:
      InputError: it does not exist, or raises an error; the message has the error and its line.
    """
    if not name:
        raise InputError(f"{OPTION} needs a Python file or a module, as in {OPTION} my.py")
    if name.endswith(".py") or "/" in name:
        path = Path(name).expanduser().absolute()
        module = _guarded(name, path.parent, lambda: _from_file(path))
        name = str(path)
    else:
        module = _guarded(name, Path.cwd(), lambda: importlib.import_module(name))
    if name not in names:
        names.append(name)
    return module


def definition(module: str, name: str) -> Callable[..., Any]:
    """A class or function of a Python file or module.

    Raises:
      InputError: as ``load``; or the module has no such class or function.
    """
    loaded = vars(load(module))
    classes = {key: value for key, value in loaded.items() if inspect.isclass(value)}
    functions = {key: value for key, value in loaded.items() if inspect.isfunction(value)}
    if name not in classes | functions:
        public = [key for key in classes | functions if not key.startswith("_")]
        raise unknown(f"class or function of {module}", name, public)
    return (classes | functions)[name]


def check_free(kind: str, name: str, new: Callable[..., object], old: object) -> None:
    """Raise if another definition has the name. The same one again, as in a notebook's cell, is allowed.

    Raises:
      InputError: the message says where the other one is.
    """
    places = [(getattr(f, "__module__", ""), getattr(f, "__qualname__", "")) for f in (old, new)]
    if old is not None and places[0] != places[1]:
        raise InputError(f"{kind} {name!r} is defined already, in {places[0][0] or 'flaxact'}")


def digest(definitions: Iterable[Callable[..., object]]) -> str:
    """A digest of the source of functions and classes; without source, of their names."""
    hasher = hashlib.sha256()
    for definition in definitions:
        try:
            hasher.update(inspect.getsource(inspect.unwrap(definition)).encode())
        except (OSError, TypeError):
            hasher.update(definition.__qualname__.encode())
    return hasher.hexdigest()[:12]


def digests(definitions: Iterable[Callable[..., object]]) -> dict[str, str]:
    """Digests of source code: of each definition by its name, and of each file by its name."""
    sources = {}
    for one in definitions:
        sources[one.__qualname__] = digest([one])
        with contextlib.suppress(OSError, TypeError):  # typed at a prompt
            file = Path(inspect.getsourcefile(inspect.unwrap(one)) or "")
            sources[file.name] = hashlib.sha256(file.read_bytes()).hexdigest()[:12]
    return sources


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise InputError(f"cannot import {path}: there is no such file")
    loaded = sys.modules.get(path.stem)
    if loaded is not None:
        if getattr(loaded, "__file__", None) == str(path):
            return loaded
        raise InputError(
            f"cannot import {path}: another module {path.stem!r} is already imported; rename the "
            "file"
        )
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise
    return module


def _guarded(name: str, folder: Path, load: Callable[[], ModuleType]) -> ModuleType:
    """Import a module, with its folder first in Python's search path."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        return load()
    except InputError as error:
        if error.__traceback__ and (place := _place(error)):
            raise InputError(f"{place}: {error}") from None
        raise
    except ModuleNotFoundError as error:
        if error.name == name.partition(".")[0] or error.name == name:
            raise InputError(
                f"cannot import {name}: there is no such module in {folder} or on Python's path; "
                "give a file by its full name, such as my.py"
            ) from None
        raise _failed(name, error) from None
    except (Exception, SystemExit) as error:
        raise _failed(name, error) from None


def _failed(name: str, error: BaseException) -> InputError:
    place = _place(error)
    where = f" (at {place})" if place else ""
    return InputError(f"cannot import {name}: {type(error).__name__}: {error}{where}")


def _place(error: BaseException) -> str:
    """The last line of the user's own code in an error's traceback, such as ``my.py:3``; else empty."""
    ours = str(Path(__file__).parent)
    outside = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((ours, "<frozen", sys.prefix, sys.base_prefix))
    ]
    return f"{Path(outside[-1].filename).name}:{outside[-1].lineno}" if outside else ""
