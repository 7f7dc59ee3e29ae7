"""Training: a pure step, epochs of them, many members at once; runs in folders that go on."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from flaxact.training.members import Member, grid
from flaxact.training.recipe import Recipe

if TYPE_CHECKING:
    from flaxact.training.engine import Epoch, train, updates
    from flaxact.training.folder import final_states, run
    from flaxact.training.optimizers import labels, make_optimizer
    from flaxact.training.step import (
        State,
        make_evaluate,
        make_init,
        make_order,
        make_step,
        member_values,
    )

_HOME = (
    dict.fromkeys(("Epoch", "train", "updates"), "engine")
    | dict.fromkeys(("labels", "make_optimizer"), "optimizers")
    | dict.fromkeys(
        ("State", "make_evaluate", "make_init", "make_order", "make_step", "member_values"), "step"
    )
    | dict.fromkeys(("final_states", "run"), "folder")
)
__all__ = [
    "Epoch", "Member", "Recipe", "State", "final_states", "grid", "labels", "make_evaluate", "make_init",
    "make_optimizer", "make_order", "make_step", "member_values", "run", "train", "updates",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    # A recipe can be checked without jax.
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
