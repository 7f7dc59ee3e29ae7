"""flaxact: activations for JAX and Flax, and the means to ask why one trains better than another.

Every activation is a function here (``flaxact.elu(x, alpha=0.5)``); ``get("elu(alpha=0.5)")`` gives
it as a value. Importing flaxact does not import jax.
"""

import importlib
from typing import TYPE_CHECKING, Any

from flaxact import activations as _activations
from flaxact.errors import InputError

if TYPE_CHECKING:
    from flaxact.activations import *  # noqa: F403

_PARTS = ("data", "diagnostics", "facts", "gallery", "initializers", "layers", "models", "net",
          "statistics", "studies", "theory", "training")  # fmt: skip

# pyright: reportUnsupportedDunderAll=false
__all__ = [*_activations.__all__, "InputError", *_PARTS]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name in _PARTS:
        return importlib.import_module(f"flaxact.{name}")
    return getattr(_activations, name)


def __dir__() -> list[str]:
    return sorted(__all__)
