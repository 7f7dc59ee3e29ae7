"""Data sets as uint8 arrays or as streams, what is done to them before training, and during it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flaxact.data.augment import augmentation
from flaxact.data.catalogue import check, load, names
from flaxact.data.preprocess import preprocess
from flaxact.data.sets import Dataset, Split, few
from flaxact.data.views import shape, views

if TYPE_CHECKING:
    from flaxact.data.stream import Stream, open_stream

__all__ = [
    "Dataset", "Split", "Stream", "augmentation", "check", "few", "load", "names", "open_stream",
    "preprocess", "shape", "views",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    # Pillow and NumPy are imported when a stream is opened.
    if name in ("Stream", "open_stream"):
        from flaxact.data import stream

        return getattr(stream, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
