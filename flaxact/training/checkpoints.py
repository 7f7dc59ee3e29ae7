"""Checkpoints that are whole or not there: orbax writes them, a SHA-256 of ours proves them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flaxact.errors import InputError

Arrays = dict[str, np.ndarray]


class CheckpointError(InputError):
    """A checkpoint could not be written, or none of those that are there can be read."""


@dataclass(frozen=True, eq=False)
class Restored:
    """What a checkpoint held: host arrays by name, and facts as JSON has them.

    ``set_aside`` says, one line each, which newer checkpoints were damaged, how, and where they are.
    """

    step: int
    arrays: Arrays
    facts: dict[str, Any]
    set_aside: tuple[str, ...] = ()


class Checkpoints:
    """Writes checkpoints into a folder in the background; a context manager that ends with `close`.

    With several processes each makes one and calls `save` with equal arrays; the first one writes.
    """

    def __init__(self, folder: Path, *, keep: int = 2, keep_best: int = 1):
        raise NotImplementedError

    def save(
        self, step: int, arrays: Arrays, facts: dict[str, Any], *, metric: float | None = None
    ) -> None:
        """Write a checkpoint; returns once the arrays are copied, and the earlier save has ended.

        Nothing happens for a step that is there already. ``metric`` is for ``keep_best`` (lowest).
        """
        raise NotImplementedError

    def check(self) -> None:
        """Raise CheckpointError once if a save has failed; else costs next to nothing."""
        raise NotImplementedError

    def wait(self) -> None:
        """Until what was saved is on disk; raises as `check` does."""
        raise NotImplementedError

    def close(self) -> None:
        """`wait`, and end the thread."""
        raise NotImplementedError

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def restore(folder: Path) -> Restored | None:
    """The newest whole checkpoint; None where there never was one.

    Raises:
      CheckpointError: there are checkpoints, and all are damaged.
    """
    raise NotImplementedError
