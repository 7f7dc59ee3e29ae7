"""Data sets from arrays of your own, in memory or in an npz file."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flaxact._lazy import np
from flaxact.data.sets import Dataset, Split
from flaxact.errors import InputError

HELD_OUT = 0.2  # share of the images that become the test set where none is given
HELD_OUT_NOTE = "a fifth of the images, drawn with seed 0, is the test set"
Pair = tuple[Any, Any]  # images and labels
# The names of arrays in a file: Keras's, and those of MedMNIST.
KEYS = (("x", "y"), ("images", "labels"))


def from_arrays(
    train: Pair,
    test: Pair | None = None,
    *,
    name: str = "arrays",
    class_names: Sequence[str] = (),
    note: str = "",
) -> Dataset:
    """A data set of your own arrays.

    Args:
      train: images and labels. Images are (number, height, width) or (number, height, width, channels),
        pixels from 0 to 255. Labels are (number,) or (number, 1): integers from 0, or texts.
      test: test images and labels in the same form; None holds out a fifth of ``train``, at random
        with seed 0.
      name: name of the data set, for reports.
      class_names: one name per class. If labels are texts, the names of all classes in the order of
        their indices; empty for alphabetical order. If labels are integers, empty for no names.
      note: where the images come from.

    Raises:
      InputError: images that are not pixels, labels that do not match the images, or a text label
        that is not in ``class_names``.

    >>> images = np.zeros((10, 8, 8), np.uint8)
    >>> from_arrays((images, ["cat", "dog"] * 5), name="pets")
    Dataset('pets', 8 training and 2 test images of 8 × 8 × 1, uint8, 2 classes)
    """
    pairs = [_pair(pair, name) for pair in (train, test) if pair is not None]
    if any(labels.dtype.kind in "UO" for _, labels in pairs):
        class_names = tuple(class_names) or _classes(pairs)
        pairs = [(images, _numbered(labels, class_names, name)) for images, labels in pairs]
    count = len(class_names) or 1 + max(_largest(labels) for _, labels in pairs)
    if test is None:
        note = "; ".join(filter(None, (note, HELD_OUT_NOTE)))
        remaining, held = held_out(len(pairs[0][0]), name)
        images, labels = pairs[0]
        _check_lengths(images, labels, name)
        pairs = [(images[rows], labels[rows]) for rows in (remaining, held)]
    splits = [Split(images, labels) for images, labels in pairs]
    return Dataset(
        name, *splits, num_classes=count, class_names=tuple(class_names), note=note or "own arrays"
    )


def held_out(count: int, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The indices of the training images and of the held-out test images, both in ascending order.

    Raises:
      InputError: fewer than two images.
    """
    if count < 2:
        raise InputError(
            f"data set {name!r} has {count} images: it needs two or more to hold out a test set"
        )
    order = np.random.default_rng(0).permutation(count)
    held = max(1, round(HELD_OUT * count))
    return np.sort(order[held:]), np.sort(order[:held])


def from_npz(file: str | Path) -> Dataset:
    """A data set from an npz file.

    Its arrays are ``x_train``, ``y_train``, ``x_test``, ``y_test``; or ``train_images``,
    ``train_labels``, ``test_images``, ``test_labels``. If the test arrays are missing, a fifth of
    the training images is held out.

    Raises:
      InputError: the file cannot be read, or has arrays of other names.
    """
    path = Path(file).expanduser()
    try:
        with np.load(path, allow_pickle=False) as arrays:
            content = {key: arrays[key] for key in arrays.files}
    except (OSError, ValueError, zipfile.BadZipFile, AttributeError) as error:
        raise InputError(f"cannot read {path}: {error}") from None
    train = _found(content, "train")
    if train is None:
        raise InputError(
            f"{path} has the arrays {', '.join(content) or 'none'}; it needs x_train and y_train, or "
            "train_images and train_labels"
        )
    return from_arrays(
        train, _found(content, "test"), name=str(file), note=f"arrays of {path.name}"
    )


def _found(content: dict[str, np.ndarray], split: str) -> Pair | None:
    for names in KEYS:
        for form in ("{name}_{split}", "{split}_{name}"):
            images, labels = (content.get(form.format(name=n, split=split)) for n in names)
            if images is not None and labels is not None:
                return images, labels
    return None


def _pair(pair: Pair, name: str) -> tuple[np.ndarray, np.ndarray]:
    try:
        images, labels = map(np.asarray, pair)
    except (TypeError, ValueError):
        raise InputError(f"data set {name!r} needs pairs (images, labels) of arrays") from None
    images = images[..., None] if images.ndim == 3 else images
    return images, labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels


def _classes(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[str, ...]:
    return tuple(sorted({str(label) for _, labels in pairs for label in labels.tolist()}))


def _numbered(labels: np.ndarray, names: Sequence[str], name: str) -> np.ndarray:
    numbers = {text: number for number, text in enumerate(names)}
    texts = list(map(str, labels.tolist()))
    for text in texts:
        if text not in numbers:
            raise InputError(f"data set {name!r}: the label {text!r} is not among the class names")
    return np.array([numbers[text] for text in texts], np.int32)


def _largest(labels: np.ndarray) -> int:
    return int(labels.max()) if labels.size and labels.dtype.kind in "iu" else 0


def _check_lengths(images: np.ndarray, labels: np.ndarray, name: str) -> None:
    if len(images) != len(labels):
        raise InputError(
            f"data set {name!r}: there are {len(images)} images and {len(labels)} labels; give one label "
            "per image"
        )
