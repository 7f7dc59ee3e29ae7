"""Training in a folder that can be stopped at any time and resumed: records, checkpoints, lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flaxact._lazy import attach

if TYPE_CHECKING:  # a lock and checkpoints need no jax
    from flaxact.training.folder import checkpoints, lock
    from flaxact.training.folder.record import rows_of
    from flaxact.training.folder.run import final_states

__all__ = ["checkpoints", "final_states", "lock", "rows_of"]
__getattr__, __dir__ = attach(__name__)
