"""A data set as a value."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from functools import cached_property

from flaxact._lazy import np
from flaxact.data.checks import checked_count, checked_images, checked_labels
from flaxact.errors import InputError


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """Images (number, height, width, channels) and labels (number,); ``Dataset`` checks them.

    >>> Split(np.zeros((2, 8, 8, 1), np.uint8), np.array([0, 1]))
    Split(images=uint8 (2, 8, 8, 1), labels=int64 (2,))
    """

    images: np.ndarray
    labels: np.ndarray

    def __repr__(self) -> str:
        return f"Split(images={_shape(self.images)}, labels={_shape(self.labels)})"


def _shape(values: object) -> str:
    """The dtype and shape of an array; for anything else, its type."""
    if hasattr(values, "dtype") and hasattr(values, "shape"):
        return f"{values.dtype} {values.shape}"  # type: ignore[attr-defined]
    return type(values).__name__


def few(split: Split, count: int | None) -> Split:
    """``count`` evenly spaced images of a split, because a set may be sorted by class; None for all."""
    if count is None or count >= len(split.labels):
        return split
    indices = np.linspace(0, len(split.labels) - 1, count).astype(int)
    return Split(split.images[indices], split.labels[indices])


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A training and a test split with their metadata. Wrap your own arrays in one.

    Attributes:
      name: name of the data set.
      train: images (number, height, width, channels), either integer pixels from 0 to 255 (stored
        as uint8) or floats (stored as float32), and labels (number,), integers from 0 (stored as
        int32).
      test: test images and labels, with the shape and dtype of the training images.
      num_classes: 1 or more.
      class_names: one per class, or empty.
      note: where the images come from, and their terms of use if known.
      preprocessed: whether floating images may have any range; otherwise they must be pixels from 0
        to 255.

    Raises:
      InputError: data that cannot be trained on; raised before anything is compiled.

    >>> x, y = np.zeros((2, 8, 8, 1), np.uint8), np.array([0, 1])
    >>> Dataset("own", Split(x, y), Split(x, y), num_classes=2)
    Dataset('own', 2 training and 2 test images of 8 × 8 × 1, uint8, 2 classes)
    >>> Dataset("own", Split(x, y + 1), Split(x, y), num_classes=2)
    Traceback (most recent call last):
    flaxact.errors.InputError: data set 'own': training labels run from 1 to 2; ...
    """

    name: str
    train: Split
    test: Split
    num_classes: int
    class_names: tuple[str, ...] = ()
    note: str = ""
    preprocessed: bool = False

    def __post_init__(self):
        classes = checked_count(self.num_classes, f"data set {self.name!r}: num_classes")
        set_field = functools.partial(object.__setattr__, self)
        set_field("num_classes", classes)
        set_field("class_names", tuple(self.class_names))
        if len(self.class_names) not in (0, classes):
            raise InputError(
                f"data set {self.name!r} has {classes} classes and {len(self.class_names)} class names"
            )
        for field, kind in (("train", "training"), ("test", "test")):
            split = getattr(self, field)
            label = f"data set {self.name!r}: {kind}"
            if not isinstance(split, Split):
                raise InputError(
                    f"data set {self.name!r} needs Split(images, labels) as {field}, not "
                    f"{type(split).__name__}"
                )
            images = checked_images(split.images, label, preprocessed=self.preprocessed)
            labels = checked_labels(split.labels, label, len(images), classes)
            if images is not split.images or labels is not split.labels:
                set_field(field, Split(images, labels))
        check_alike(self.name, *(_kind(split) for split in (self.train, self.test)))

    def __repr__(self) -> str:
        size = " × ".join(map(str, self.train.images.shape[1:]))
        counts = f"{len(self.train.labels):,} training and {len(self.test.labels):,} test images"
        kind = f"{size}, {self.train.images.dtype}, {self.num_classes} classes"
        return f"Dataset({self.name!r}, {counts} of {kind})"

    @cached_property
    def digest(self) -> str:
        """SHA-256 over images and labels of both splits, in hex."""
        arrays = (self.train.images, self.train.labels, self.test.images, self.test.labels)
        return combined(*map(array_digest, arrays))


def _kind(split: Split) -> str:
    return f"{split.images.shape[1:]} {split.images.dtype}"


def check_alike(name: str, train: str, test: str) -> None:
    """Check that training and test images have the same shape and dtype.

    Raises:
      InputError: they differ.
    """
    if train != test:
        raise InputError(
            f"data set {name!r} has training images {train} and test images {test}; give both "
            "the same shape and dtype"
        )


def array_digest(array: np.ndarray) -> str:
    """SHA-256 of an array's shape, dtype and values."""
    digest = hashlib.sha256(f"{array.shape} {array.dtype}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def combined(*digests: str) -> str:
    """One digest of several, in order."""
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()
