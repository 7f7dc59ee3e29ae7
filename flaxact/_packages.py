"""Other packages: one line for a missing one, and the differences of the oldest supported JAX and Flax.

The rest of flaxact is written for the newest. `docs/versions.md` lists the tested versions.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import importlib.util
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
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


def enable_x64(on: bool) -> AbstractContextManager[None]:
    """A context with or without float64: ``jax.enable_x64``, new in JAX 0.8."""
    import jax

    context: Any = getattr(jax, "enable_x64", None)
    if context is None:
        from jax import experimental

        context = vars(experimental)["enable_x64"]
    return context(on)


def allow_vmapped_convolutions_on_meshes() -> None:
    """Let a transposed, vmapped convolution compile for several devices in JAX 0.7.

    There the ``vmap`` rule raises NotImplementedError for any output sharding, and the transpose
    sets one on every mesh. On a mesh with automatic axes the sharding has no meaning, so it is
    dropped here.
    """
    from jax import lax
    from jax.interpreters import batching

    rules: Any = batching.primitive_batchers
    rule = rules.get(lax.conv_general_dilated_p) if isinstance(rules, dict) else None
    if rule is None or hasattr(rule, "rule_of_jax"):  # JAX 0.8 and newer keep it elsewhere
        return

    def without_sharding(*args: Any, out_sharding: Any, **kwargs: Any) -> Any:
        if out_sharding is not None and out_sharding.mesh.abstract_mesh.are_all_axes_auto:
            out_sharding = None
        return rule(*args, out_sharding=out_sharding, **kwargs)

    without_sharding.rule_of_jax = rule
    rules[lax.conv_general_dilated_p] = without_sharding


def check_nnx_capture() -> None:
    """Check that Flax can capture the intermediate values of an NNX module.

    Raises:
      InputError: Flax is older than 0.12.6.
    """
    import flax
    from flax import nnx

    if not hasattr(nnx, "capture"):
        raise InputError(
            f"flaxact.diagnostics.nnx needs flax 0.12.6 or newer, and this is {flax.__version__}: "
            'pip install -U "flax>=0.12.6" (it needs jax 0.8.1 or newer), or probe a Linen module'
        )
