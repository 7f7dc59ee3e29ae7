"""Choose a learning rate, then train evaluation seeds at it: the search that all papers share."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from flaxact.reproduction.workspace import Workspace
from flaxact.training.members import Member

TUNING_SEED = 100  # never evaluated
Score = tuple[float, ...]  # the lower the better


@dataclass(frozen=True, kw_only=True)
class Search:
    """How a learning rate is chosen.

    Attributes:
      rates: the initial grid, with equal ratios.
      rungs: the epochs after which rates are dropped, in ascending order.
      keep: how many rates remain after each rung.
      epochs: the training length of the remaining rates.
      widenings: how often the grid may be widened by two rates if its best is at an edge.
    """

    rates: tuple[float, ...]
    rungs: tuple[int, ...] = ()
    keep: tuple[int, ...] = ()
    epochs: int
    widenings: int = 3


@dataclass(frozen=True, kw_only=True)
class OneRung:
    """Settings of a study whose searches drop rates once, after ``rung`` epochs, down to ``keep``.

    Attributes:
      rates: the initial grid, with equal ratios.
      rung: the epochs after which rates are dropped.
      keep: how many rates remain.
      widenings: how often the grid may be widened.
      epochs: the training length of the remaining rates and of the evaluation.
      seeds: the number of evaluation seeds, from 0.
    """

    rates: tuple[float, ...]
    rung: int
    keep: int
    widenings: int
    epochs: int
    seeds: int

    @property
    def space(self) -> Search:
        """The search."""
        return Search(
            rates=self.rates,
            rungs=(self.rung,),
            keep=(self.keep,),
            epochs=self.epochs,
            widenings=self.widenings,
        )


@dataclass(frozen=True, kw_only=True)
class TriedRate:
    """A rate of a search, and its score after the last rung that it reached, at ``epochs``."""

    rate: float
    epochs: int = 0
    score: Score


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """The result of a search.

    Attributes:
      best: the best rate.
      edge: ``lowest`` or ``highest`` where the best is at an end of the widened grid, else empty.
      rates: all that were tried, in ascending order.
    """

    best: float
    edge: str
    rates: tuple[TriedRate, ...]

    @property
    def best_score(self) -> Score:
        """The score of the best rate."""
        return next(tried.score for tried in self.rates if tried.rate == self.best)


def error_score(error: float | None) -> Score:
    """(0, error), or (1, 1) for a run that has diverged, which ranks behind all others.

    >>> error_score(0.25), error_score(None)
    ((0, 0.25), (1, 1.0))
    """
    return (1, 1.0) if error is None else (0, error)


def search(space: Search, train: Callable[[Sequence[float], int], Sequence[Score]]) -> Tuned:
    """Successive halving, widened where the best rate is at an edge of the grid.

    Args:
      space: the rates and the rungs.
      train: gives a score for each of some rates, trained for so many epochs in all. It is asked for
        the same rate and number of epochs again after a widening, so it should remember.

    >>> scores = lambda rates, epochs: [(abs(math.log(rate / 0.3)),) for rate in rates]
    >>> tuned = search(Search(rates=(0.01, 0.02, 0.04), rungs=(1,), keep=(2,), epochs=5), scores)
    >>> tuned.best, tuned.edge, [tried.rate for tried in tuned.rates]
    (0.32, '', [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64])
    """
    rates = sorted(space.rates)
    for widenings_left in reversed(range(space.widenings + 1)):
        tuned = _halved(rates, space, train)
        if not widenings_left or not tuned.edge or len(rates) < 2:
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
    remaining = list(rates)
    tried: dict[float, TriedRate] = {}
    for rung, keep in zip((*space.rungs, space.epochs), (*space.keep, 1), strict=True):
        for rate, score in zip(remaining, train(remaining, rung), strict=True):
            tried[rate] = TriedRate(rate=rate, epochs=rung, score=score)
        ranked = sorted(remaining, key=lambda rate: (tried[rate].score, rate))
        remaining = sorted(ranked[:keep])
    best = remaining[0]
    edge = "lowest" if best == min(rates) else "highest" if best == max(rates) else ""
    in_order = tuple(tried[rate] for rate in sorted(tried))
    return Tuned(best=best, edge=edge if len(rates) > 1 else "", rates=in_order)


def tune(
    workspace: Workspace,
    piece: str,
    space: Search,
    validate: Callable[[Member, int], Any],
    *,
    score: Callable[[Any], Score] = error_score,
    seed: int = TUNING_SEED,
) -> Tuned:
    """Search a rate; every training of the search is a piece.

    Args:
      workspace: keeps the pieces.
      piece: their names, with ``{rate:g}`` and, where rungs differ, ``{epochs}`` in braces.
      space: the rates and the rungs.
      validate: trains a member for so many epochs in all; what it returns is stored.
      score: of what is stored; its default takes an error, None for a run that has diverged.
      seed: of the search; not one that is evaluated.

    Raises:
      UnavailableError: as ``Workspace.cached_all``.
    """

    def scores(rates: Sequence[float], epochs: int) -> list[Score]:
        computations = {
            piece.format(rate=rate, epochs=epochs): functools.partial(
                validate, Member(seed, rate), epochs
            )
            for rate in rates
        }
        return [score(value) for value in workspace.cached_all(computations)]

    return search(space, scores)


def tune_in_two_pieces(
    workspace: Workspace,
    label: str,
    settings: OneRung,
    *,
    score: Callable[[Member, int], Score],
    evaluate: Callable[[Member], Any],
) -> dict[str, Any]:
    """Search a rate on the tuning seed, and train evaluation seeds at the best one.

    Args:
      workspace: keeps the pieces: ``label-rates`` of the whole search, ``label-seeds`` of all seeds.
      label: of the pieces.
      settings: the search and the number of seeds.
      score: trains a member for so many epochs in all, and scores it.
      evaluate: trains a member; what it returns is stored.

    Returns:
      As JSON has them, ``tuned``, a ``Tuned``, and ``seeds``, a list.

    Raises:
      UnavailableError: as ``Workspace.cached``.
    """

    def scores(rates: Sequence[float], epochs: int) -> list[Score]:
        return [score(Member(TUNING_SEED, rate), epochs) for rate in rates]

    tuned = workspace.cached(f"{label}-rates", lambda: asdict(search(settings.space, scores)))
    members = [Member(seed, tuned["best"]) for seed in range(settings.seeds)]
    seeds = workspace.cached(f"{label}-seeds", lambda: [evaluate(member) for member in members])
    return {"tuned": tuned, "seeds": seeds}


def repeat(
    workspace: Workspace,
    piece: str,
    members: Iterable[Member],
    evaluate: Callable[[Member], Any],
) -> list[Any]:
    """Train members, each in its own piece; what is stored of them.

    Args:
      workspace: keeps the pieces.
      piece: their names, with ``{seed}`` in braces.
      members: the seeds, at the best rate.
      evaluate: trains one; what it returns is stored.

    Raises:
      UnavailableError: as ``Workspace.cached_all``.
    """
    return workspace.cached_all(
        {piece.format(seed=member.seed): functools.partial(evaluate, member) for member in members}
    )


def tune_then_repeat(
    workspace: Workspace,
    label: str,
    space: Search,
    seeds: Sequence[int],
    *,
    validate: Callable[[Member, int], Any],
    evaluate: Callable[[Member], Any],
    score: Callable[[Any], Score] = error_score,
) -> tuple[Tuned | None, list[Any]]:
    """Search a rate, and train evaluation seeds at the best one; None and [] for what is not available.

    Args:
      workspace: keeps the pieces ``label/rate-RATE`` and ``label/seed-SEED``.
      label: of the pieces.
      space: the search, without rungs.
      seeds: that are evaluated.
      validate: as of ``tune``.
      evaluate: as of ``repeat``.
      score: as of ``tune``.
    """
    tuned = workspace.attempt(
        lambda: tune(workspace, f"{label}/rate-{{rate:g}}", space, validate, score=score)
    )
    if tuned is None:
        return None, []
    members = [Member(seed, tuned.best) for seed in seeds]
    piece = f"{label}/seed-{{seed}}"
    return tuned, workspace.attempt(lambda: repeat(workspace, piece, members, evaluate)) or []


def parabola_optimum(rates: Sequence[float], values: Sequence[float]) -> tuple[float, float] | None:
    """The least value between the rates of a grid, by a parabola of log value over log rate.

    It goes through the lowest value and its two neighbours. None where the lowest is at an edge.

    >>> rate, value = parabola_optimum([0.001, 0.002, 0.004], [8.0, 7.0, 8.0])
    >>> round(rate, 6), round(value, 6)
    (0.002, 7.0)
    """
    pairs = sorted(zip(rates, values, strict=True))
    lowest = min(range(len(pairs)), key=lambda i: pairs[i][1])
    if not 0 < lowest < len(pairs) - 1:
        return None
    (x0, y0), (x1, y1), (x2, y2) = (
        (math.log(rate), math.log(value)) for rate, value in pairs[lowest - 1 : lowest + 2]
    )
    slope = (y1 - y0) / (x1 - x0)
    bend = ((y2 - y1) / (x2 - x1) - slope) / (x2 - x0)
    if bend <= 0:
        return None
    best = (x0 + x1) / 2 - slope / (2 * bend)
    return math.exp(best), math.exp(y0 + slope * (best - x0) + bend * (best - x0) * (best - x1))
