"""Records of the search for learning rates, or for points of several values. Does not import jax."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from flaxact.stored.schema import Count, Number, Positive


@dataclass(frozen=True, kw_only=True)
class Searched:
    """The settings of a search; those from ``names`` on are of a search over points, else empty."""

    rates: tuple[Positive, ...]
    rungs: tuple[Count, ...]
    keep: tuple[Count, ...]
    epochs: Count
    widenings: Count
    names: tuple[str, ...] = ()
    lows: tuple[Number, ...] = ()
    highs: tuple[Number, ...] = ()
    points: tuple[tuple[Number, ...], ...] = ()
    sampling_seed: Count = 0

    def described(self) -> dict[str, object]:
        """The settings that the outcome depends on."""
        of_points = ("names", "lows", "highs", "points", "sampling_seed")
        return {k: v for k, v in asdict(self).items() if self.names or k not in of_points}


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A rate or point and its score: (0, validation error, loss), or (1, 1) if it diverged."""

    rate: Positive
    epochs: Count
    score: tuple[Number, ...]
    point: tuple[Number, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The outcome of a search.

    Attributes:
      best: the rate.
      edge: ``lowest`` or ``highest`` if the best rate is at an end of the widened grid, else empty; of a
        search over points, the values that are at an end of their range, in words.
      rates: all tried rates or points, each with its score after the last rung that it reached.
      epochs: total epochs of training in the search.
      seconds: total training time of the search.
      point: the best point, in the order of the search's names; empty for a search for rates.
    """

    best: Positive
    edge: str
    rates: tuple[Scored, ...]
    epochs: Count
    seconds: Positive
    point: tuple[Number, ...] = ()
