"""Parts of data sets: cropped images, random subsets by seed, validation sets."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np

from flaxact.data import Dataset, Split, few
from flaxact.reproduction.workspace import Workspace


def cropped(split: Split, side: int | None) -> Split:
    """The center square of every image, ``side`` pixels wide; the whole images for None."""
    if side is None:
        return split
    first = (split.images.shape[1] - side) // 2
    middle = slice(first, first + side)
    return Split(split.images[:, middle, middle], split.labels)


def with_clean_pass(
    workspace: Workspace, name: str, count: int | None, *, side: int | None, clean: int
) -> Dataset:
    """Some training images, and a part of them as test images, to measure the training error on.

    Args:
      workspace: loads the data.
      name: name of the data set.
      count: number of training images, evenly spaced; None for all.
      side: side of the center square in pixels; None for whole images.
      clean: number of these test images.
    """
    data = workspace.data(name, count, 1)
    train = cropped(data.train, side)
    return replace(data, train=train, test=few(train, clean))


def with_validation(data: Dataset, count: int | None, validation: int, *, tuning: bool) -> Dataset:
    """A data set with some training images held out for validation.

    Args:
      data: its training images are divided.
      count: number of training images, evenly spaced; None for all that are not held out.
      validation: number of held-out images, evenly spaced.
      tuning: whether the held-out images replace the test images.
    """
    total = len(data.train.labels)
    used = np.linspace(0, total - 1, min(total, (count or total) + validation)).astype(int)
    held_out = np.zeros(len(used), bool)
    held_out[np.linspace(0, len(used) - 1, validation).astype(int)] = True
    test = _part(data.train, used[held_out]) if tuning else data.test
    return replace(data, train=_part(data.train, used[~held_out][:count]), test=test)


@dataclass(frozen=True, kw_only=True)
class DrawnImages:
    """Settings for images that are drawn at random by a seed.

    Attributes:
      dataset: the name of the set.
      images: number of training images.
      validation: number of further training images; learning rates are chosen by the error on these
        images.
      test: number of test images for evaluation seeds; None for all.
      side: side of the center square of every image, in pixels.
    """

    dataset: str = "cifar10"
    images: int
    validation: int
    test: int | None = None
    side: int


def drawn_by_seed(workspace: Workspace, settings: DrawnImages, seed: int) -> tuple[Dataset, Split]:
    """The data set with training images drawn at random by the seed, and its validation images."""
    data = workspace.data(settings.dataset)
    order = np.random.default_rng(seed).permutation(len(data.train.labels))
    train = _part(data.train, order[: settings.images])
    held_out = _part(data.train, order[settings.images :][: settings.validation])
    cut = functools.partial(cropped, side=settings.side)
    return replace(data, train=cut(train), test=cut(data.test)), cut(held_out)


def _part(split: Split, indices: np.ndarray | slice) -> Split:
    return Split(split.images[indices], split.labels[indices])
