"""jax and numpy as names that import them when first used.

So that ``import flaxact``, its facts and its errors at the door are quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

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

__all__ = ["jax", "jnp", "np"]
