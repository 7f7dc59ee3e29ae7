"""Data sets from objects of Hugging Face's ``datasets``. They are read by their interface alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from flaxact.data.arrays import from_arrays
from flaxact.data.records import is_gray, pixels, resized, whole_range
from flaxact.data.sets import Dataset
from flaxact.errors import InputError, unknown

TESTS = ("test", "validation", "valid", "val")


def from_huggingface(
    source: object,
    *,
    name: str = "huggingface",
    image: str | None = None,
    label: str | None = None,
    image_size: int | None = None,
) -> Dataset:
    """A data set from a ``datasets.DatasetDict`` or ``datasets.Dataset``, decoded into memory.

    Args:
      source: an object with the split ``train``, and ``test`` or ``validation``; or a single split,
        of which a fifth is held out as the test set.
      name: name of the data set, for reports.
      image: the column of images; None for the first of the feature type ``Image``.
      label: the column of labels; None for the first of the feature type ``ClassLabel``.
      image_size: height and width in pixels to which images are resized; None if all images have
        the same size.

    Raises:
      InputError: no such column or split, or images that differ in size.
    """
    splits = _splits(source, name)
    features = splits[0].features
    image = _column(features, image, "Image", name)
    label = _column(features, label, "ClassLabel", name)
    pairs = [_pair(split, (image, label), image_size, name) for split in splits]
    shapes = {images.shape[-1] for images, _ in pairs}
    if len(shapes) > 1:  # gray in one split only
        pairs = [(np.repeat(i, 3 // i.shape[-1], axis=-1), labels) for i, labels in pairs]
    names = tuple(getattr(features[label], "names", None) or ())
    info = getattr(splits[0], "info", None)
    note = f"Hugging Face {getattr(info, 'dataset_name', None) or name}"
    return from_arrays(*pairs, name=name, class_names=names, note=note)


def _splits(source: object, name: str) -> list[Any]:
    if not isinstance(source, Mapping):
        if hasattr(source, "features"):
            return [source]
        raise InputError(
            f"data set {name!r} is a {type(source).__name__}; give a Dataset or DatasetDict of Hugging "
            "Face's datasets, with rows by number"
        )
    if "train" not in source:
        raise InputError(f"data set {name!r} has the splits {', '.join(source)}; it needs train")
    test = next((split for split in TESTS if split in source), None)
    return [source["train"], *([source[test]] if test else [])]


def _column(features: Mapping[str, Any], wanted: str | None, kind: str, name: str) -> str:
    if wanted is not None:
        if wanted not in features:
            raise unknown(f"column of {name}", wanted, features)
        return wanted
    fitting = [key for key, feature in features.items() if type(feature).__name__ == kind]
    if not fitting:
        raise InputError(
            f"data set {name!r} has no column of type {kind} among {', '.join(features)}; name one with "
            f"{'image' if kind == 'Image' else 'label'}="
        )
    return fitting[0]


def _pair(
    split: Any, columns: tuple[str, str], image_size: int | None, name: str
) -> tuple[np.ndarray, np.ndarray]:
    decoded = []
    labels = []
    for row in split:
        picture = row[columns[0]]
        if not isinstance(picture, Image.Image):
            picture = Image.fromarray(np.asarray(picture, np.uint8))
        mode = "L" if is_gray(picture) else "RGB"
        picture = whole_range(picture).convert(mode)
        decoded.append(pixels(picture) if image_size is None else resized(picture, image_size))
        labels.append(row[columns[1]])
    if len({image.shape[:2] for image in decoded}) > 1:
        raise InputError(
            f"the images of data set {name!r} differ in size; give an image size in pixels to resize them"
        )
    channels = max((image.shape[-1] for image in decoded), default=1)
    images = [np.repeat(image, channels // image.shape[-1], axis=-1) for image in decoded]
    return np.array(images, np.uint8), np.array(labels)
