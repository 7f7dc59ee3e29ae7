"""Training: a pure step, an epoch of them, many seeds at once."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from flaxact.training.recipe import Recipe

if TYPE_CHECKING:
    from flaxact.training.engine import Epoch, train
    from flaxact.training.step import State, make_evaluate, make_init, make_order, make_step

_HOME = {"Epoch": "engine", "train": "engine"} | dict.fromkeys(
    ("State", "make_evaluate", "make_init", "make_order", "make_step"), "step"
)
__all__ = [
    "Epoch", "Recipe", "State", "make_evaluate", "make_init", "make_order", "make_step", "train",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    # A recipe can be checked without jax.
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
