"""Successive halving over learning rates, which studies and reproductions share; does not import jax.

``flaxact.studies.points`` has the same over points of several values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

TUNING_SEED = 100  # never evaluated
Score = tuple[float, ...]  # the lower the better
Candidate = TypeVar("Candidate")  # a learning rate, or a point of several values


@dataclass(frozen=True, kw_only=True)
class Search:
    """How a learning rate is chosen.

    Attributes:
      rates: the grid to start with, at equal factors.
      rungs: numbers of epochs after which rates are dropped, ascending.
      keep: how many rates remain after each rung.
      epochs: total epochs of the rates that remain to the end.
      widenings: how often the grid may be widened by two rates if the best is at an edge.
    """

    rates: tuple[float, ...]
    rungs: tuple[int, ...] = ()
    keep: tuple[int, ...] = ()
    epochs: int
    widenings: int = 3

    @property
    def candidates(self) -> tuple[object, ...]:
        """The candidates at the start: learning rates, or points of several hyperparameters."""
        return self.rates


@dataclass(frozen=True, kw_only=True)
class TriedRate:
    """A learning rate that a search tried, and its last score, after ``epochs`` epochs of training."""

    rate: float
    epochs: int = 0
    score: Score


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """The result of a search.

    Attributes:
      best: the best rate.
      edge: ``lowest`` or ``highest`` if the best rate is at an end of the widened grid, else empty.
      rates: all tried rates, in ascending order.
    """

    best: float
    edge: str
    rates: tuple[TriedRate, ...]

    @property
    def best_score(self) -> Score:
        """The score of the best rate."""
        return next(tried.score for tried in self.rates if tried.rate == self.best)


def error_score(error: float | None) -> Score:
    """The score of an error: (0, error), or (1, 1) for a diverged run, which ranks behind all others.

    >>> error_score(0.25), error_score(None)
    ((0, 0.25), (1, 1.0))
    """
    return (1, 1.0) if error is None else (0, error)


def search(space: Search, train: Callable[[Sequence[float], int], Sequence[Score]]) -> Tuned:
    """Successive halving; the grid is widened if the best rate is at an edge.

    Args:
      space: the rates, and the epochs after which rates are dropped.
      train: ``train(rates, epochs)`` returns the score of each rate after that many epochs in all.
        After a widening it is called again with the same rates and epochs, so it should cache.

    >>> import math
    >>> scores = lambda rates, epochs: [(abs(math.log(rate / 0.3)),) for rate in rates]
    >>> tuned = search(Search(rates=(0.01, 0.02, 0.04), rungs=(1,), keep=(2,), epochs=5), scores)
    >>> tuned.best, tuned.edge, [tried.rate for tried in tuned.rates]
    (0.32, '', [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64])
    """
    rates = sorted(space.rates)
    for left in reversed(range(space.widenings + 1)):
        tuned = _halved(rates, space, train)
        if not left or not tuned.edge or len(rates) < 2:
            break
        factor = rates[1] / rates[0]
        if tuned.edge == "highest":
            rates += [rates[-1] * factor, rates[-1] * factor**2]
        else:
            rates = [rates[0] / factor**2, rates[0] / factor, *rates]
        rates = [float(f"{rate:.6g}") for rate in rates]
    return tuned


def _halved(
    rates: Sequence[float], space: Search, train: Callable[[Sequence[float], int], Sequence[Score]]
) -> Tuned:
    best, reached = halved(rates, space, train)
    edge = "lowest" if best == min(rates) else "highest" if best == max(rates) else ""
    tried = (TriedRate(rate=r, epochs=reached[r][0], score=reached[r][1]) for r in rates)
    return Tuned(best=best, edge=edge if len(rates) > 1 else "", rates=tuple(tried))


def halved(
    candidates: Sequence[Candidate],
    space: Search,
    train: Callable[[Sequence[Candidate], int], Sequence[Score]],
) -> tuple[Candidate, dict[Candidate, tuple[int, Score]]]:
    """Successive halving; of equal scores the first candidate ranks first.

    Returns:
      The best candidate, and for each candidate its last score and the epochs that it was trained.
    """
    remaining = list(candidates)
    reached: dict[Candidate, tuple[int, Score]] = {}
    for rung, keep in zip((*space.rungs, space.epochs), (*space.keep, 1), strict=True):
        for candidate, score in zip(remaining, train(remaining, rung), strict=True):
            reached[candidate] = (rung, score)
        best = sorted(remaining, key=lambda candidate: reached[candidate][1])[:keep]
        remaining = [candidate for candidate in remaining if candidate in best]
    return remaining[0], reached


def budget(space: Search) -> int:
    """The total epochs of a search without widening.

    >>> budget(Search(rates=(0.1, 0.2, 0.4, 0.8), rungs=(1, 3), keep=(2, 1), epochs=6))
    11
    """
    counts = (len(space.candidates), *space.keep)
    before = 0
    epochs = 0
    for count, rung in zip(counts, (*space.rungs, space.epochs), strict=True):
        epochs += count * (rung - before)
        before = rung
    return epochs


def halving(rates: Sequence[float], epochs: int) -> Search:
    """The search of a study: half of the rates remain after 1/6 of the epochs, a quarter after 1/2.

    Args:
      rates: the grid to start with, at equal factors.
      epochs: number of epochs of a full training.

    >>> halving([0.001, 0.002, 0.004, 0.008, 0.016, 0.032], 6)
    Search(rates=(0.001, ..., 0.032), rungs=(1, 3), keep=(3, 2), epochs=6, widenings=3)
    """
    return with_epochs(Search(rates=tuple(rates), epochs=epochs), epochs)


Space = TypeVar("Space", bound=Search)


def with_epochs(space: Space, epochs: int) -> Space:
    """A search of the same candidates that drops some at the same epochs as ``halving``."""
    rungs = sorted({max(1, round(epochs / 6)), epochs // 2} & set(range(1, epochs)))
    count = len(space.candidates)
    keep = [max(1, -(-count // 2 ** (i + 1))) for i in range(len(rungs))]
    return replace(space, rungs=tuple(rungs), keep=tuple(keep), epochs=epochs)
