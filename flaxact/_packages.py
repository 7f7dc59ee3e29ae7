"""Optional packages: if one is missing, one line says what to install."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import importlib.util
import re
from collections.abc import Iterator
from typing import Any

from flaxact.errors import InputError

PACKAGES = {"PIL": "pillow"}  # of modules whose names differ by more than dashes


def check(*modules: str) -> None:
    """Raise for the first of some modules that is not installed; imports none of them.

    Raises:
      InputError: what to install.
    """
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise missing(module)


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """A context or decorator in which the error for a missing optional package says what to install.

    Raises:
      InputError: what to install.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or _requirement(error.name) is None:
            raise
        raise missing(error.name) from None


def missing(module: str) -> InputError:
    """The error for a module that is not installed.

    >>> missing("tensorboardX")
    InputError('this needs tensorboardX, which is not installed: pip install "flaxact[tensorboard]"')
    """
    module = module.partition(".")[0]
    requirement = _requirement(module) or module
    extra = re.search(r"extra == ['\"](\w+)", requirement)
    requirement_text = f"flaxact[{extra[1]}]" if extra else requirement.partition(";")[0].strip()
    return InputError(
        f'this needs {_package(module)}, which is not installed: pip install "{requirement_text}"'
    )


def tfds() -> Any:
    """The module ``tensorflow_datasets``.

    Raises:
      InputError: it is not installed, or parts of it cannot be imported, which it only logs.
    """
    with explained():
        module = importlib.import_module("tensorflow_datasets")
    if not hasattr(module, "list_builders"):
        raise InputError(
            "tensorflow-datasets cannot import all of itself; its log says why. Fix that, or "
            "reinstall it: pip install --force-reinstall tensorflow-datasets"
        )
    return module


def _package(module: str) -> str:
    return PACKAGES.get(module, module.replace("_", "-"))


def _requirement(module: str) -> str | None:
    """The line of flaxact's metadata that requires a module's package, other than for tests alone."""
    try:
        lines = importlib.metadata.requires("flaxact") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    name = re.compile(
        rf"{re.escape(_package(module.partition('.')[0]))}\b(?![\w.-])", re.IGNORECASE
    )
    requirements = [line for line in lines if name.match(line.replace("_", "-"))]
    return next((line for line in requirements if "'tests'" not in line.replace('"', "'")), None)
