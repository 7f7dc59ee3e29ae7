"""A data set as a value."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

from flaxact._lazy import np


@dataclass(frozen=True, eq=False)
class Split:
    """Images (number, height, width, channels) in uint8 and labels (number,) in int32.

    Images are in float32 after ``preprocess``.
    """

    images: np.ndarray
    labels: np.ndarray


def few(split: Split, count: int | None) -> Split:
    """So many images of a split, at equal distances, as a set may be sorted by class; None for all."""
    if count is None or count >= len(split.labels):
        return split
    chosen = np.linspace(0, len(split.labels) - 1, count).astype(int)
    return Split(split.images[chosen], split.labels[chosen])


@dataclass(frozen=True, eq=False)
class Dataset:
    """A training and a test split, with what is known of them.

    ``note`` says where the images come from, and on which terms as far as that is known.
    """

    name: str
    train: Split
    test: Split
    num_classes: int
    class_names: tuple[str, ...]
    note: str

    @cached_property
    def digest(self) -> str:
        """SHA-256 over images and labels of both splits, in hex."""
        arrays = (self.train.images, self.train.labels, self.test.images, self.test.labels)
        return combined(*map(array_digest, arrays))


def array_digest(array: np.ndarray) -> str:
    """SHA-256 of an array's shape, dtype and values."""
    found = hashlib.sha256(f"{array.shape} {array.dtype}".encode())
    found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def combined(*digests: str) -> str:
    """One digest for several, in order."""
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()
