"""Records of where a study's results come from. Does not import jax."""

from __future__ import annotations

from dataclasses import dataclass

from flaxact.stored.schema import Count


@dataclass(frozen=True, kw_only=True)
class Environment:
    """The versions, device, date and command line of the training."""

    flaxact: str
    jax: str
    flax: str
    python: str
    device: str
    date: str
    command: str


@dataclass(frozen=True, kw_only=True)
class Data:
    """The data set of a study."""

    name: str
    train_images: Count
    test_images: Count
    image_shape: tuple[Count, ...]
    num_classes: Count
    note: str


@dataclass(frozen=True, kw_only=True)
class Model:
    """The model of a study."""

    name: str
    parameters: Count
    source: str | None
