"""One run a folder at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder, which is made if need be, for as long as the ``with`` block runs.

    Raises:
      InputError: another process holds it; names its pid, its host and since when.
    """
    folder.mkdir(parents=True, exist_ok=True)
    yield
