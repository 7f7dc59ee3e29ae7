"""What is stored of the search for learning rates, as records. Does not import jax."""

from __future__ import annotations

from dataclasses import dataclass

from flaxact.stored.schema import Count, Number, Positive


@dataclass(frozen=True, kw_only=True)
class Searched:
    """How learning rates were searched."""

    rates: tuple[Positive, ...]
    rungs: tuple[Count, ...]
    keep: tuple[Count, ...]
    epochs: Count
    widenings: Count


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A rate of a search, after so many epochs: (0, validation error, loss), or (1, 1) if it diverged."""

    rate: Positive
    epochs: Count
    score: tuple[Number, ...]


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The outcome of a search.

    Attributes:
      best: the rate.
      edge: ``lowest`` or ``highest`` where it is at an end of the widened grid, else empty.
      rates: all that were tried, each after the last rung that it reached.
      epochs: that were trained for it in all.
      seconds: that they took.
    """

    best: Positive
    edge: str
    rates: tuple[Scored, ...]
    epochs: Count
    seconds: Positive
