"""Differences between two comparisons: settings, versions and results."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from flaxact.statistics import Interval, Paired, ratio_of_medians
from flaxact.studies import contrasts, summary
from flaxact.studies._records import Results, Run
from flaxact.studies._settings import as_text, differing
from flaxact.studies.contrasts import p_text, paired_test, points
from flaxact.studies.summary import Row
from flaxact.studies.together import errors, run_key


@dataclass(frozen=True, kw_only=True)
class Change:
    """The change of an activation's errors from one comparison to another.

    Attributes:
      activation: the activation.
      rows: its rows in the first and in the second comparison.
      test_error: second minus first, paired by seed; None if fewer than two seeds have both.
      train_error: as ``test_error``, for the training error.
      adjusted: the p-value of the test error, corrected by Holm over the activations; nan without a test.
    """

    activation: str
    rows: tuple[Row, Row]
    test_error: Paired | None
    train_error: Paired | None
    adjusted: float


def changes(one: Results, other: Results) -> list[Change]:
    """The change of every activation that has runs in both comparisons, in the order of the first."""
    before = {row.activation: row for row in summary.rows(one)}
    after = {row.activation: row for row in summary.rows(other)}
    pairs = [(after[name], before[name]) for name in before if name in after]
    is_sequential = None not in (one.study.until_decided, other.study.until_decided)
    tests = [paired_test(*pair, is_sequential=is_sequential) for pair in pairs]
    adjusted = contrasts.corrected(tests)
    return [
        Change(
            activation=pair[0].activation,
            rows=(pair[1], pair[0]),
            test_error=test,
            train_error=paired_test(*pair, "train_error", is_sequential=is_sequential),
            adjusted=p,
        )
        for pair, test, p in zip(pairs, tests, adjusted, strict=True)
    ]


def sentences(one: Results, other: Results) -> list[str]:
    """One line per difference in settings and versions, and the number of runs with equal errors."""
    lines = [
        f"{name.replace('_', ' ')}: {as_text(was)} → {as_text(now)}"
        for name, (was, now) in differing(one, other).items()
    ]
    lines = lines or ["The settings are the same."]
    lines += list(_versions(one, other))
    lines += list(_own_code(one, other))
    for kind in ("activations", "seeds"):
        for name, mine, others in (("first", one, other), ("second", other, one)):
            theirs = getattr(others.study, kind)
            alone = [str(value) for value in getattr(mine.study, kind) if value not in theirs]
            if alone:
                lines.append(f"{kind} of the {name} only: {summary.listed(alone)}")
    pairs = list(_common(one, other))
    same = sum(errors(mine) == errors(theirs) for mine, theirs in pairs)
    if pairs:
        lines.append(f"Of {len(pairs)} runs that both have, {same} have the same errors.")
    return lines


def _versions(one: Results, other: Results) -> Iterator[str]:
    now = asdict(other.environment)
    for name, was in asdict(one.environment).items():
        if was != now[name] and name != "command":
            yield f"{name}: {was} → {now[name]}"


def _own_code(one: Results, other: Results) -> Iterator[str]:
    """The activations whose definitions, or that of their model, have changed."""
    digests = [
        {r.config["activation"]: r.config.get("own_code") for r in x.runs} for x in (one, other)
    ]
    for activation, was in digests[0].items():
        now = digests[1].get(activation, was)
        if now != was:
            yield f"the code of {activation} or of its model: {as_text(was)} → {as_text(now)}"


def _common(one: Results, other: Results) -> Iterator[tuple[Run, Run]]:
    """The runs with the same activation, learning rate and seed."""
    theirs = {run_key(run): run for run in other.runs}
    for run in one.runs:
        if run_key(run) in theirs:
            yield run, theirs[run_key(run)]


TITLES = ["activation", "learning rate", "test error", "difference", "p", "training error, difference",
          "seconds an epoch"]  # fmt: skip
MEANING = (
    "Differences are the second's less the first's in percentage points, paired by seed, with the 95% "
    "interval of each; p is of the test error, corrected by Holm over the activations."
)


def table(one: Results, other: Results) -> tuple[list[str], list[list[str]]]:
    """The titles and rows of the table of changes, as text; one row per common activation."""
    return TITLES, [_cells(change) for change in changes(one, other)]


def _cells(change: Change) -> list[str]:
    before, after = change.rows
    seconds = [[epoch.seconds for run in row.runs for epoch in run.epochs] for row in change.rows]
    rates = dict.fromkeys(f"{row.learning_rate:g}" for row in change.rows)
    return [
        change.activation,
        " → ".join(rates),
        f"{_mean(before.test_error)} → {_mean(after.test_error)}",
        _difference(change.test_error),
        "–" if math.isnan(change.adjusted) else p_text(change.adjusted),
        _difference(change.train_error),
        f"×{ratio_of_medians(seconds[1], seconds[0]):.2f}",
    ]


def _mean(interval: Interval | None) -> str:
    return "diverged" if interval is None else f"{interval.mean:.1%}"


def _difference(paired: Paired | None) -> str:
    return "fewer than 2 seeds in both" if paired is None else points(paired.difference)
