"""Records of the search for learning rates. Does not import jax."""

from __future__ import annotations

from dataclasses import dataclass

from flaxact.stored.schema import Count, Number, Positive


@dataclass(frozen=True, kw_only=True)
class Searched:
    """The settings of a search for learning rates."""

    rates: tuple[Positive, ...]
    rungs: tuple[Count, ...]
    keep: tuple[Count, ...]
    epochs: Count
    widenings: Count


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A rate of a search and its score: (0, validation error, loss), or (1, 1) if it diverged."""

    rate: Positive
    epochs: Count
    score: tuple[Number, ...]


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The outcome of a search.

    Attributes:
      best: the rate.
      edge: ``lowest`` or ``highest`` if the best rate is at an end of the widened grid, else empty.
      rates: all tried rates, each with its score after the last rung that it reached.
      epochs: total epochs of training in the search.
      seconds: total training time of the search.
    """

    best: Positive
    edge: str
    rates: tuple[Scored, ...]
    epochs: Count
    seconds: Positive
