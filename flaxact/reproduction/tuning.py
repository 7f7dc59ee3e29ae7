"""Search a learning rate, then train evaluation seeds at the best one; every training is stored."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from flaxact.reproduction.workspace import Workspace
from flaxact.studies.search import (
    TUNING_SEED,
    Score,
    Search,
    TriedRate,
    Tuned,
    error_score,
    search,
)
from flaxact.training.members import Member

__all__ = [
    "TUNING_SEED", "OneRung", "Score", "Search", "TriedRate", "Tuned", "error_score",
    "parabola_optimum", "repeat", "search", "tune", "tune_in_two_pieces", "tune_then_repeat",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class OneRung:
    """Settings of a study whose searches drop rates once, after ``rung`` epochs, down to ``keep``.

    Attributes:
      rates: the initial grid, with equal ratios.
      rung: number of epochs after which rates are dropped.
      keep: number of rates that remain then.
      widenings: how often rates may be added beyond an edge of the grid.
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
        """The ``Search`` with these settings."""
        return Search(
            rates=self.rates,
            rungs=(self.rung,),
            keep=(self.keep,),
            epochs=self.epochs,
            widenings=self.widenings,
        )


def tune(
    workspace: Workspace,
    piece: str,
    space: Search,
    validate: Callable[[Member, int], object],
    *,
    score: Callable[[Any], Score] = error_score,
    seed: int = TUNING_SEED,
) -> Tuned:
    """Search a learning rate; every training of the search is a stored piece.

    Args:
      workspace: stores the pieces.
      piece: a template of the pieces' names, with ``{rate:g}`` and, if rates are dropped on the
        way, ``{epochs}``.
      space: the rates, and the epochs after which rates are dropped.
      validate: trains a member for a total number of epochs; its result is stored.
      score: maps a stored result to a score; the default takes an error, or None for a run that
        diverged.
      seed: seed of the search; it must not be an evaluation seed.

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
    evaluate: Callable[[Member], object],
) -> dict[str, Any]:
    """Search a learning rate on the tuning seed, and train evaluation seeds at the best one.

    Args:
      workspace: stores the pieces ``label-rates`` (the whole search) and ``label-seeds`` (all
        seeds).
      label: label of the pieces.
      settings: the search and the number of seeds.
      score: trains a member for a total number of epochs, and returns its score.
      evaluate: trains a member; its result is stored.

    Returns:
      JSON values: ``tuned``, a ``Tuned``, and ``seeds``, a list.

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
    evaluate: Callable[[Member], object],
) -> list[Any]:
    """Train members, each as a stored piece; returns their stored results.

    Args:
      workspace: stores the pieces.
      piece: a template of the pieces' names, with ``{seed}``.
      members: the seeds, at the best rate.
      evaluate: trains a member; its result is stored.

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
    validate: Callable[[Member, int], object],
    evaluate: Callable[[Member], object],
    score: Callable[[Any], Score] = error_score,
) -> tuple[Tuned | None, list[Any]]:
    """Search a learning rate, and train evaluation seeds at the best one.

    If stored results are missing and cannot be computed, the search is None and the list of seeds
    empty.

    Args:
      workspace: stores the pieces ``label/rate-RATE`` and ``label/seed-SEED``.
      label: label of the pieces.
      space: the search, in which no rates are dropped before the end (no rungs).
      seeds: the evaluation seeds.
      validate: trains a member for a total number of epochs; its result is stored.
      evaluate: trains a member; its result is stored.
      score: maps a result of ``validate`` to a score.
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

    The parabola goes through the lowest value and its two neighbors. None if the lowest value is at
    an edge of the grid.

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
