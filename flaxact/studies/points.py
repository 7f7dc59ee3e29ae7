"""Successive halving over points of several values, from a Sobol sequence; does not import jax."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from flaxact.errors import InputError, unknown
from flaxact.studies.search import Score, Search, TriedRate, Tuned, halved, with_epochs

SearchPoint = tuple[float, ...]  # values, in the order of the names of a search
TUNABLE = ("learning_rate", "momentum")
SAMPLING_SEED = 0  # of the scrambling; every search with the same ranges has the same points
TRIALS = 16
MOST = 1024  # points
EDGE = 0.05  # share of a range, on its scale, at either end


@dataclass(frozen=True, kw_only=True)
class PointSearch(Search):
    """A search over points, that is, several hyperparameters at once; made by ``sobol_search``.

    Attributes:
      rates: the learning rates of all points, ascending.
      names: the tuned hyperparameters: ``learning_rate``, ``momentum`` or both.
      lows: the lower end of each range.
      highs: the upper end of each range.
      points: the values of each point, in the order of ``names``.
      sampling_seed: the seed that the Sobol sequence is scrambled with.
    """

    names: tuple[str, ...]
    lows: tuple[float, ...]
    highs: tuple[float, ...]
    points: tuple[SearchPoint, ...]
    sampling_seed: int = SAMPLING_SEED
    widenings: int = 0

    @property
    def candidates(self) -> tuple[SearchPoint, ...]:
        """The points of the search: combinations of the tuned values."""
        return self.points

    def values(self, point: Sequence[float]) -> dict[str, float]:
        """The values of a point by hyperparameter, always including the learning rate."""
        return {"learning_rate": self.rates[0], **dict(zip(self.names, point, strict=True))}


@dataclass(frozen=True, kw_only=True)
class TriedPoint(TriedRate):
    """A point that a search tried, and its last score."""

    point: SearchPoint


@dataclass(frozen=True, kw_only=True)
class TunedPoint(Tuned):
    """The result of a search over points.

    Attributes:
      best: the learning rate of the best point.
      edge: the values of the best point that are at an end of their range, in words; empty if none is.
      rates: all points that were tried.
      point: the best point.
    """

    point: SearchPoint


def sobol_search(
    tune: Sequence[str],
    epochs: int,
    *,
    trials: int = TRIALS,
    learning_rate: float | None = None,
) -> PointSearch:
    """A search over points of a scrambled Sobol sequence, with the rungs of ``halving``.

    Points are spread evenly over the logarithm of the learning rate, and over the logarithm of one minus
    the momentum. Values are rounded to six digits.

    Args:
      tune: a range for each value, as ``learning_rate=1e-4..1e-1`` or ``momentum=0.5..0.99``.
      epochs: number of epochs of a full training.
      trials: number of points, from 2 to 1024.
      learning_rate: the learning rate of all points if only the momentum is tuned.

    Raises:
      InputError: a range that cannot be read, an unknown name, a value out of its range, or a learning
        rate that is given twice or not at all.

    >>> space = sobol_search(["learning_rate=1e-4..1e-1", "momentum=0.5..0.99"], epochs=6, trials=8)
    >>> space.names, len(space.points), space.rungs, space.keep
    (('learning_rate', 'momentum'), 8, (1, 3), (4, 2))
    >>> space.values(space.points[0]).keys()
    dict_keys(['learning_rate', 'momentum'])
    """
    names, lows, highs = zip(*_ranges(tune), strict=True)
    if not 2 <= trials <= MOST:
        raise InputError(f"the number of trials must be from 2 to {MOST}, not {trials}")
    if ("learning_rate" in names) == (learning_rate is not None):
        raise InputError(
            "without learning_rate=LOW..HIGH among the values to tune, give one learning rate"
            if learning_rate is None
            else "the learning rate is tuned and given: give one of the two"
        )
    points = _sobol_points((names, lows, highs), trials)
    if len({*points}) < trials:
        raise InputError(
            f"the ranges {' '.join(tune)} do not have {trials} different values of six digits"
        )
    place = names.index("learning_rate") if learning_rate is None else -1
    rates = {point[place] for point in points} if learning_rate is None else {learning_rate}
    space = PointSearch(
        rates=tuple(sorted(rates)),
        names=names,
        lows=lows,
        highs=highs,
        points=points,
        epochs=epochs,
    )
    return with_epochs(space, epochs)


def search_points(
    space: PointSearch, train: Callable[[Sequence[SearchPoint], int], Sequence[Score]]
) -> TunedPoint:
    """Successive halving over the points of a search.

    Args:
      space: the points and the rungs.
      train: ``train(points, epochs)`` returns the score of each point after that many epochs in all.
    """
    best, reached = halved(space.points, space, train)

    def rate(point: SearchPoint) -> float:
        return space.values(point)["learning_rate"]

    tried = (
        TriedPoint(rate=rate(point), epochs=epochs, score=score, point=point)
        for point, (epochs, score) in reached.items()
    )
    edge = ", ".join(_edges(space, best))
    return TunedPoint(best=rate(best), edge=edge, rates=tuple(tried), point=best)


def _ranges(tune: Sequence[str]) -> Iterable[tuple[str, float, float]]:
    """The name and the ends of each range, checked."""
    names = []
    for text in tune:
        name, low, high = _parsed(text)
        if name not in TUNABLE:
            raise InputError(
                f"{unknown('value to tune', name, TUNABLE)}; a hyperparameter is swept by a range in its "
                "activation, as in leaky_relu(negative_slope=0..1:8)"
            )
        if name in names:
            raise InputError(f"{name} is tuned twice: give one range")
        if not low < high:
            raise InputError(f"{text}: the first number must be the lower one")
        if name == "learning_rate" and not 0 < low < high < math.inf:
            raise InputError(f"{text} is on a log scale: both ends must be above 0, and finite")
        if name == "momentum" and not 0 <= low < high < 1:
            raise InputError(f"{text}: both ends must be at least 0 and below 1")
        names.append(name)
        yield name, low, high
    if not names:
        raise InputError("nothing to tune: give a range, as learning_rate=1e-4..1e-1")


def range_name(text: str) -> str:
    """The name in the text of a range, such as ``learning_rate=1e-4..1e-1``."""
    return text.partition("=")[0].strip().replace("-", "_")


def _parsed(text: str) -> tuple[str, float, float]:
    low, _, high = text.partition("=")[2].partition("..")
    try:
        return range_name(text), float(low), float(high)
    except ValueError:
        raise InputError(
            f"cannot read {text!r}: give a name and a range, as learning_rate=1e-4..1e-1"
        ) from None


def _sobol_points(
    ranges: tuple[Sequence[str], Sequence[float], Sequence[float]], count: int
) -> tuple[SearchPoint, ...]:
    """Points of the sequence, whose balance needs a power of 2: the first of as many as that."""
    from scipy.stats import qmc

    sequence = qmc.Sobol(len(ranges[0]), rng=SAMPLING_SEED)
    shares = sequence.random_base2((count - 1).bit_length())[:count].tolist()
    return tuple(
        tuple(
            _value(name, share, low, high)
            for name, low, high, share in zip(*ranges, point, strict=True)
        )
        for point in shares
    )


def _value(name: str, share: float, low: float, high: float) -> float:
    """The value at a share of a range, on its scale."""
    if name == "momentum":
        value = 1 - (1 - low) * ((1 - high) / (1 - low)) ** share
    else:
        value = low * (high / low) ** share
    return min(max(float(f"{value:.6g}"), low), high)


def _share(name: str, value: float, low: float, high: float) -> float:
    """The inverse of ``_value``."""
    if name == "momentum":
        low, high, value = 1 - low, 1 - high, 1 - value
    return math.log(value / low) / math.log(high / low)


def _edges(space: PointSearch, point: SearchPoint) -> Iterable[str]:
    for name, value, low, high in zip(space.names, point, space.lows, space.highs, strict=True):
        share = _share(name, value, low, high)
        if not EDGE < share < 1 - EDGE:
            end = "lower" if share <= EDGE else "upper"
            yield f"{name.replace('_', ' ')} at the {end} edge"
