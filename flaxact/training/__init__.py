"""Training: a pure step, a loop that trains several nets at once, and runs that can be resumed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flaxact._lazy import attach
from flaxact.training.members import Member, grid
from flaxact.training.recipe import Recipe

if TYPE_CHECKING:  # a recipe can be checked without jax
    from flaxact.training import distributed, folder
    from flaxact.training.folder.record import rows_of
    from flaxact.training.folder.run import final_states, run
    from flaxact.training.loop import Epoch, train, updates
    from flaxact.training.optimizers import labels, make_optimizer
    from flaxact.training.state import State, make_init, member_values
    from flaxact.training.step import make_evaluate, make_order, make_step

__all__ = [
    "Epoch", "Member", "Recipe", "State", "distributed", "final_states", "folder", "grid", "labels",
    "make_evaluate", "make_init", "make_optimizer", "make_order", "make_step", "member_values",
    "rows_of", "run", "train", "updates",
]  # fmt: skip
__getattr__, __dir__ = attach(__name__)
