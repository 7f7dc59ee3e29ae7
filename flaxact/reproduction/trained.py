"""Trainings of one net: errors by epoch, and errors on any images."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import SupportsFloat

import jax
import numpy as np

from flaxact.data import Dataset, Split
from flaxact.net import Net, Variables
from flaxact.stored.files import finite
from flaxact.training import Member, Recipe, make_evaluate, train
from flaxact.training.state import State


@dataclass(frozen=True, kw_only=True)
class TrainedNet:
    """The errors and the final variables of one training.

    Attributes:
      train_error: the running mean by epoch; None once the run has diverged.
      test_error: the test error by epoch; None once the run has diverged.
      variables: after the last epoch.
    """

    train_error: tuple[float | None, ...]
    test_error: tuple[float | None, ...]
    variables: Variables


@dataclass(frozen=True, kw_only=True)
class FinalErrors:
    """The errors at the end of one training; None if it diverged.

    Attributes:
      error: on the test images, or for a tuning seed on the validation images.
      train_error: the running mean of the last epoch.
      diverged_at: the step at which it diverged; -1 if it did not.
    """

    error: float | None
    train_error: float | None
    diverged_at: int


def train_one(net: Net, recipe: Recipe, data: Dataset, member: Member) -> TrainedNet:
    """Train one net, without checkpoints."""
    train_error = []
    test_error = []
    variables: Variables = {}
    for epoch in train(net, recipe, data, [member]):
        if epoch.number:
            train_error.append(rounded(epoch.train_error[0]))
            test_error.append(rounded(epoch.test_error[0]))
            variables = only_variables(epoch.states)
    return TrainedNet(
        train_error=tuple(train_error), test_error=tuple(test_error), variables=variables
    )


def only_variables(states: State) -> Variables:
    """The variables of a single net, from states with an axis of length 1 over nets."""
    return jax.tree.map(lambda leaf: leaf[0], states.variables)


def error_on(net: Net, variables: Variables, split: Split, batch_size: int = 500) -> float:
    """The error rate on a split."""
    count = len(split.labels)
    wrong = 0.0
    for first in range(0, count, batch_size):
        rows = np.arange(first, first + batch_size)
        batch = split.images[rows % count], split.labels[rows % count]
        wrong += float(_evaluation(net)(variables, batch, rows < count)["error"])
    return round(wrong / count, 5)


def rounded(value: SupportsFloat, digits: int = 5) -> float | None:
    """A number for JSON; None if a run has diverged."""
    number = finite(float(value))
    return None if number is None else round(number, digits)


@functools.lru_cache(maxsize=8)
def _evaluation(net: Net) -> jax.stages.Wrapped:
    return jax.jit(make_evaluate(net))
