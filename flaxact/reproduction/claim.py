"""A claim as a value: the quantity, the range in which the claim holds, and the verdict.

The range is written down before the run; the verdict depends only on the measured interval. Does
not import jax.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from enum import StrEnum
from typing import Literal

from flaxact.errors import unknown
from flaxact.statistics import Interval

EvidenceKind = Literal["read", "secondhand"]
EVIDENCE: dict[EvidenceKind, str] = {
    "read": "read in the paper or its authors' code",
    "secondhand": "read in another text",
}
LEVEL = 0.95  # the confidence that a verdict needs; of all claims of a family together


class ClaimKind(StrEnum):
    """The kinds of claims, by what they can decide."""

    REPRODUCTION = "reproduction"  # a published claim, tested at the published size
    RETEST = "re-test"  # a published claim, tested at another size: an estimate, no verdict
    OWN = "own"  # a claim of ours, at the size that we chose


class Outcome(StrEnum):
    """Where the measured interval lies relative to the range in which the claim holds."""

    INSIDE = "inside"
    OUTSIDE = "outside"
    OPEN = "open"  # across an end of the range, or not known well enough


UNKNOWN = Interval(math.nan, math.nan, math.nan)  # of what has not been measured, or was not finite
NOT_MEASURED = "not measured"
RETESTED = "not tested at its size"
VERDICTS = {
    (ClaimKind.REPRODUCTION, Outcome.INSIDE): "reproduced",
    (ClaimKind.REPRODUCTION, Outcome.OUTSIDE): "not reproduced",
    (ClaimKind.REPRODUCTION, Outcome.OPEN): "undecided",
    (ClaimKind.OWN, Outcome.INSIDE): "holds",
    (ClaimKind.OWN, Outcome.OUTSIDE): "does not hold",
    (ClaimKind.OWN, Outcome.OPEN): "undecided",
    **{(ClaimKind.RETEST, outcome): RETESTED for outcome in Outcome},
}


@dataclass(frozen=True)
class Published:
    """A published figure; figures from memory are not allowed here.

    Attributes:
      text: the figure with its unit.
      source: where it is published.
      evidence: ``read`` in the paper or its authors' code, or ``secondhand``.

    Raises:
      InputError: another value of ``evidence``.
    """

    text: str
    source: str
    evidence: EvidenceKind = "read"

    def __post_init__(self):
        if self.evidence not in EVIDENCE:
            raise unknown("evidence", self.evidence, EVIDENCE)


@dataclass(frozen=True)
class Claim:
    """A claim and the rule by which it is judged.

    Attributes:
      key: a name, unique in its reproduction.
      text: the claim, as a sentence that can be read alone.
      quantity: the measured quantity, with its unit.
      low: the least value of the quantity for which the claim holds.
      high: the greatest value of the quantity for which the claim holds.
      published: the figure that the paper prints; None for a claim of our own.
      exact: whether every scale measures it at the published size, as a formula or an exact protocol.
      other_size: whether no scale measures it at the published size, so that it is always a re-test.
      family: claims of one paper with the same family are judged together, with Holm's correction;
        empty for a claim on its own.
      post_hoc: whether the range was chosen after the stored results had been seen; the claim then
        decides nothing.
      retired: why the claim is not judged any more, as a sentence; empty while it is.
    """

    key: str
    text: str
    quantity: str
    _: KW_ONLY
    low: float = -math.inf
    high: float = math.inf
    published: Published | None = None
    exact: bool = False
    other_size: bool = False
    family: str = ""
    post_hoc: bool = False
    retired: str = ""

    def kind(self, scale: str) -> ClaimKind:
        """What a run at a scale can decide; without ``exact``, only ``full`` has the published size.

        >>> Claim("a", "", "", published=Published("2", "Table 1")).kind("reduced")
        <ClaimKind.RETEST: 're-test'>
        """
        if self.published is None:
            return ClaimKind.OWN
        at_published_size = self.exact or (scale == "full" and not self.other_size)
        return ClaimKind.REPRODUCTION if at_published_size else ClaimKind.RETEST

    def outcome(self, interval: Interval | None) -> Outcome:
        """Where an interval lies; OPEN if its confidence is below LEVEL or it equals an end of the range.

        A difference of exactly 0 in every seed does not show that something is lower or higher.

        >>> claim = Claim("faster", "ReLU is twice as fast.", "ratio", low=2)
        >>> [claim.outcome(Interval(3, low, high)).value for low, high in ((2.5, 4), (1, 4), (1, 1.5))]
        ['inside', 'open', 'outside']
        >>> claim.outcome(Interval(math.inf, 2.2, math.inf, level=0.75)).value
        'open'
        >>> Claim("lower", "ReLU has fewer.", "difference", low=0).outcome(Interval(0, 0, 0)).value
        'open'
        """
        if interval is None or interval.level < LEVEL - 1e-9:
            return Outcome.OPEN
        if interval.low == interval.high and interval.low in (self.low, self.high):
            return Outcome.OPEN
        if self.low <= interval.low and interval.high <= self.high:
            return Outcome.INSIDE
        if interval.high < self.low or interval.low > self.high:
            return Outcome.OUTSIDE
        return Outcome.OPEN  # also where an end is nan: one value says nothing of the spread

    @property
    def rule(self) -> str:
        """The range in which the claim holds, in words.

        >>> [Claim("a", "", "", **ends).rule for ends in ({"low": 2}, {"high": 0}, {"low": 4, "high": 9})]
        ['at least 2', 'at most 0', '4 to 9']
        """
        if math.isinf(self.high):
            return f"at least {self.low:.4g}"
        if math.isinf(self.low):
            return f"at most {self.high:.4g}"
        return f"{self.low:.4g} to {self.high:.4g}"


@dataclass(frozen=True)
class Judged:
    """A claim with its measured interval and outcome."""

    claim: Claim
    kind: ClaimKind
    interval: Interval | None
    outcome: Outcome

    @property
    def verdict(self) -> str:
        """The verdict in words, such as "holds" or "undecided"; a re-test has none."""
        if self.claim.retired:
            return "retired"
        if not self.measured:
            return NOT_MEASURED
        return "post hoc" if self.claim.post_hoc else VERDICTS[self.kind, self.outcome]

    @property
    def measured(self) -> bool:
        """Whether there is an estimate or a bound."""
        return self.interval is not None and not math.isnan(self.interval.mean)

    @property
    def decides(self) -> bool:
        """Whether the claim counts as evidence, for or against."""
        return self.kind != ClaimKind.RETEST and not self.claim.retired and not self.claim.post_hoc


def judge(
    claims: Sequence[Claim], measured: Mapping[str, Interval | None], scale: str
) -> dict[str, Judged]:
    """Every claim with its outcome, by key; claims of the same family with Holm's correction.

    Args:
      claims: claims of one paper.
      measured: the interval of each claim, by key.
      scale: scale of the run.

    >>> from flaxact.statistics import mean_interval
    >>> claims = [Claim(key, "", "", low=0, family="both") for key in ("sure", "unsure")]
    >>> measured = {"sure": mean_interval([1.0, 1.3, 1.2]), "unsure": mean_interval([1.0, 1.8, 0.5])}
    >>> {key: judged.verdict for key, judged in judge(claims, measured, "reduced").items()}
    {'sure': 'holds', 'unsure': 'undecided'}
    """
    outcomes = {}
    for claim in claims:
        if not claim.family:
            outcomes[claim.key] = claim.outcome(measured.get(claim.key))
    for family in {claim.family for claim in claims if claim.family}:
        members = [claim for claim in claims if claim.family == family]
        outcomes |= _holm(members, measured)
    return {
        claim.key: Judged(claim, claim.kind(scale), measured.get(claim.key), outcomes[claim.key])
        for claim in claims
    }


def _holm(claims: Sequence[Claim], measured: Mapping[str, Interval | None]) -> dict[str, Outcome]:
    """Outcomes for which the probability of any wrong one is at most 1 - LEVEL."""
    errors = {claim.key: _smallest_error(claim, measured.get(claim.key)) for claim in claims}
    outcomes = dict.fromkeys(errors, Outcome.OPEN)
    by_key = {claim.key: claim for claim in claims}
    for place, key in enumerate(sorted(errors, key=errors.__getitem__)):
        allowed = (1 - LEVEL) / (len(claims) - place)
        if errors[key] > allowed + 1e-12:
            break
        outcomes[key] = by_key[key].outcome(measured[key])
    return outcomes


def _smallest_error(claim: Claim, interval: Interval | None) -> float:
    """1 minus the highest confidence at which the outcome is decided; 1 if it is undecided at LEVEL."""
    if claim.outcome(interval) is Outcome.OPEN:
        return 1.0
    assert interval is not None
    if interval.at_level is None:
        return 1 - interval.level
    low = math.log(1 - LEVEL)
    high = math.log(1e-12)
    for _ in range(50):
        middle = (low + high) / 2
        wider = interval.at_level(1 - math.exp(middle))
        if claim.outcome(wider) is Outcome.OPEN:
            high = middle
        else:
            low = middle
    return math.exp(low)


@dataclass(frozen=True)
class Table:
    """A table of a report; cells are text, and short rows are filled up with empty cells."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @classmethod
    def of_cells(cls, title: str, rows: Sequence[Mapping[str, str]]) -> Table:
        """A table from rows of cells by column name; all rows have the same columns in the same order.

        >>> Table.of_cells("Errors", [{"net": "relu", "error": "10%"}, {"net": "tanh", "error": "12%"}])
        Table(title='Errors', header=('net', 'error'), rows=(('relu', '10%'), ('tanh', '12%')))
        """
        header = tuple(rows[0]) if rows else ()
        return cls(title, header, tuple(tuple(row[column] for column in header) for row in rows))


def format_interval(interval: Interval | None, percent: bool = False) -> str:
    """An estimate with its interval, as text; an open end is put in words.

    >>> format_interval(Interval(5.21, 4.0, 6.513)), format_interval(None)
    ('5.21 [4, 6.51]', 'not measured')
    >>> format_interval(Interval(0.25, 0.2, 0.3), percent=True)
    '25% [20, 30]'
    >>> format_interval(Interval(math.inf, 8.0, math.inf, level=0.98))
    'more than 8 (98%)'
    """
    if interval is None or math.isnan(interval.mean):
        return NOT_MEASURED
    times, unit = (100, "%") if percent else (1, "")
    mean, low, high = (
        f"{times * value:.3g}" for value in (interval.mean, interval.low, interval.high)
    )
    level = "" if math.isclose(interval.level, LEVEL) else f" ({100 * interval.level:.3g}%)"
    if math.isinf(interval.high):
        return f"more than {low}{unit}{level}"
    if math.isinf(interval.mean):
        return f"less than {high}{unit}{level}"
    if math.isnan(interval.low) or interval.low == interval.high:
        return f"{mean}{unit}"
    return f"{mean}{unit} [{low}, {high}]{level}"
