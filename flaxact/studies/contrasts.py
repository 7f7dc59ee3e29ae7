"""Significance tests between activations, paired by seed and corrected for multiple comparisons."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from flaxact.statistics import Interval, Paired, compare_paired, holm, needed_pairs, not_told_apart
from flaxact.studies import summary
from flaxact.studies._records import Results
from flaxact.studies.summary import Row

LEVEL = 0.05  # of the tests of a family together
POWER = 0.8  # that the number of seeds is computed for
METRIC = "test_error"  # after the last epoch
FEWEST = 2  # pairs that a test needs


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """The difference of two activations' test errors, paired by seed.

    Attributes:
      activation: the first activation.
      other: the second activation, whose error is subtracted.
      paired: the test over the seeds that finished with both activations; None if there are fewer
        than two.
      adjusted: the p-value after Holm's correction over the family; nan without a test.
      more_seeds: the further seeds that would show a significant difference with probability 0.8 if the
        true effect is the measured one; 0 if it is significant already, None if unknown or if more
        than 1,000 seeds would be needed.
    """

    activation: str
    other: str
    paired: Paired | None
    adjusted: float
    more_seeds: int | None

    @property
    def apart(self) -> bool:
        """Whether the difference is significant."""
        return self.adjusted <= LEVEL


def reference(results: Results) -> str:
    """The activation that the others are compared with."""
    return results.study.reference or results.study.activations[0]


def to_reference(results: Results) -> list[Contrast]:
    """The contrasts of every other activation with the reference, as one family of tests."""
    rows = {row.activation: row for row in summary.rows(results)}
    base = reference(results)
    if base not in rows:
        return []
    pairs = [(name, base) for name in rows if name != base]
    return _family(rows, pairs, is_sequential=results.study.until_decided is not None)


def between_all(results: Results) -> list[Contrast]:
    """The contrasts between all pairs of activations, as one family of tests."""
    rows = {row.activation: row for row in summary.rows(results)}
    pairs = list(itertools.combinations(rows, 2))
    return _family(rows, pairs, is_sequential=results.study.until_decided is not None)


def groups(results: Results) -> list[tuple[str, ...]]:
    """The largest groups of activations without a significant difference, lowest error first."""
    tested = [row for row in summary.rows(results) if row.test_error is not None]
    tested.sort(key=lambda row: row.test_error.mean)  # type: ignore[union-attr]
    names = [row.activation for row in tested]
    apart = [(c.activation, c.other) for c in between_all(results) if c.apart]
    return not_told_apart(names, [pair for pair in apart if {*pair} <= {*names}])


def decided(results: Results) -> bool:
    """Whether every other activation differs significantly from the reference or cannot be tested."""
    return all(c.apart or c.paired is None for c in to_reference(results))


def _family(
    rows: Mapping[str, Row], pairs: Sequence[tuple[str, str]], *, is_sequential: bool
) -> list[Contrast]:
    tests = [
        paired_test(rows[one], rows[other], is_sequential=is_sequential) for one, other in pairs
    ]
    adjusted = corrected(tests)
    return [
        Contrast(
            activation=one,
            other=other,
            paired=test,
            adjusted=p,
            more_seeds=_more_seeds(test, p, len(pairs), is_sequential),
        )
        for (one, other), test, p in zip(pairs, tests, adjusted, strict=True)
    ]


def corrected(tests: Sequence[Paired | None]) -> list[float]:
    """The p-values of one family of tests after Holm's correction; nan without a test."""
    return holm([math.nan if test is None else test.p_value for test in tests])


def paired_test(
    one: Row, other: Row, metric: str = METRIC, *, is_sequential: bool = False
) -> Paired | None:
    """The paired test of two rows' errors by seed; None if fewer than two seeds have both."""
    values = [last_errors(row, metric) for row in (one, other)]
    seeds = sorted(values[0].keys() & values[1].keys())
    if len(seeds) < FEWEST:
        return None
    samples = [[of_row[seed] for seed in seeds] for of_row in values]
    paired = compare_paired(samples[0], samples[1], 1 - LEVEL, sequential=is_sequential)
    if math.isinf(paired.difference.low):  # nothing is known yet, which is said in words
        return paired
    return replace(paired, difference=paired.difference.clipped(-1, 1))


def last_errors(row: Row, metric: str = METRIC) -> dict[int, float]:
    """The error after the last epoch, by seed; diverged runs are left out."""
    errors = {}
    for run in row.runs:
        value = getattr(run.epochs[-1], metric)
        if run.diverged_at is None and value is not None:
            errors[run.config["seed"]] = value
    return errors


def _more_seeds(
    test: Paired | None, adjusted: float, comparisons: int, is_sequential: bool
) -> int | None:
    if adjusted <= LEVEL:
        return 0
    if test is None or is_sequential or math.isnan(test.effect):
        return None
    needed = needed_pairs(test.effect, LEVEL / comparisons, POWER)
    return None if needed is None else max(1, needed - test.pairs)


MEANINGS = (
    ("activation", ""),
    ("difference", "of the test errors after the last epoch, in percentage points; the mean over seeds "
     "[95% interval of this one difference]. Below 0 is better than the reference"),
    ("p", "of a paired {test}, after Holm's correction over the comparisons with the reference: at most "
     "0.05 tells the two apart, with a probability of any error in this table of at most 5%"),
    ("effect", "Hedges' g: the mean difference in standard deviations of the differences, corrected for "
     "few seeds"),
    ("better", "the probability that the activation has the lower error with the same seed [95% "
     "Clopper-Pearson interval]"),
    ("told apart", "or how many more seeds would do it with probability 0.8, if the effect is the one "
     "seen; from few seeds this is a rough guess"),
)  # fmt: skip


def titles(results: Results) -> list[tuple[str, str]]:
    """The titles of the table of contrasts, each with its meaning."""
    is_sequential = results.study.until_decided is not None
    test = "sequential t test, which holds after any number of looks" if is_sequential else "t test"
    return [(name, meaning.format(test=test)) for name, meaning in MEANINGS]


def cells(contrast: Contrast) -> list[str]:
    """A row of the table of contrasts, as text."""
    paired = contrast.paired
    if paired is None:
        return [contrast.activation, "fewer than 2 seeds to compare", "–", "–", "–", "–"]
    return [
        contrast.activation,
        points(paired.difference),
        p_text(contrast.adjusted),
        "–" if math.isnan(paired.effect) else f"{paired.effect:+.2f}",
        "{:.0%} [{:.0%}, {:.0%}]".format(*ends(paired.improvement)),
        _apart(contrast),
    ]


def ends(interval: Interval) -> tuple[float, float, float]:
    """The estimate and the ends of an interval."""
    return interval.mean, interval.low, interval.high


def points(difference: Interval) -> str:
    """A difference of errors in percentage points, with its interval."""
    mean, low, high = (100 * value for value in ends(difference))
    if math.isinf(low):
        return f"{mean:+.2f} [not bounded yet]"
    return f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]"


def p_text(p: float) -> str:
    """A p-value as text."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _apart(contrast: Contrast) -> str:
    if contrast.apart:
        return "yes"
    if contrast.more_seeds is None:
        return "no"
    return f"no: about {contrast.more_seeds} more seeds"


def sentence(results: Results) -> str:
    """A sentence that names the activations without a significant difference; empty without a test."""
    if len(results.study.activations) < 2 or not any(c.paired for c in between_all(results)):
        return ""
    together = [group for group in groups(results) if len(group) > 1]
    if not together:
        return (
            "Every two activations are told apart by their test errors, corrected over all pairs."
        )
    alike = summary.listed(["{" + summary.listed(group) + "}" for group in together], "; ")
    return f"Not told apart by their test errors, corrected over all pairs: {alike}."
