"""Choose a learning rate, then train evaluation seeds at it: the search of a study, piece by piece."""

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
    """Settings of a study whose searches drop rates once, after ``rung`` epochs; ``keep`` remain.

    Attributes:
      rates: the grid to start with.
      rung: after how many epochs.
      keep: how many rates remain.
      widenings: how often the grid may be widened.
      epochs: of the remaining rates, and of the evaluation.
      seeds: 0, 1, ... are evaluated.
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
