"""What a paper claims, as a value: the quantity, the range that counts as a success, and the verdict.

The range is written down before the run; nothing but the measured interval decides. Does not import jax.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from flaxact.errors import unknown
from flaxact.statistics import Interval

REPRODUCED, REFUTED, UNDECIDED = "reproduced", "not reproduced", "undecided"
EVIDENCE = {"read": "read in the paper or its authors' code", "secondhand": "read in another text"}


@dataclass(frozen=True)
class Published:
    """What is in print; what is known from memory alone has no place here.

    Attributes:
      text: the figure with its unit.
      source: where it stands.
      evidence: ``read`` in the paper or its authors' code, or ``secondhand``.

    Raises:
      InputError: another evidence.
    """

    text: str
    source: str
    evidence: str = "read"

    def __post_init__(self):
        if self.evidence not in EVIDENCE:
            raise unknown("evidence", self.evidence, EVIDENCE)


@dataclass(frozen=True)
class Claim:
    """A claim and the rule by which it is judged.

    Attributes:
      key: a name, unique in its reproduction.
      text: the claim, as a sentence.
      quantity: what is measured, with its unit.
      low: the least value of the quantity for which the claim holds, and
      high: the greatest.
      published: what the paper prints of it; None where it prints no figure.
    """

    key: str
    text: str
    quantity: str
    low: float = -math.inf
    high: float = math.inf
    published: Published | None = None

    def verdict(self, found: Interval | None) -> str:
        """REPRODUCED where the interval lies in the range, REFUTED where outside, else UNDECIDED.

        >>> claim = Claim("faster", "Relu is twice as fast.", "ratio", low=2)
        >>> [claim.verdict(Interval(3, low, high)) for low, high in ((2.5, 4), (1, 4), (1, 1.5))]
        ['reproduced', 'undecided', 'not reproduced']
        """
        if found is None:
            return UNDECIDED
        if self.low <= found.low and found.high <= self.high:
            return REPRODUCED
        if found.high < self.low or found.low > self.high:
            return REFUTED
        return UNDECIDED  # also where an end is nan: one value says nothing of spread

    @property
    def rule(self) -> str:
        """The range in words.

        >>> Claim("a", "", "", low=2).rule, Claim("b", "", "", high=0).rule, Claim("c", "", "", 4, 9).rule
        ('at least 2', 'at most 0', '4 to 9')
        """
        if math.isinf(self.high):
            return f"at least {self.low:.4g}"
        if math.isinf(self.low):
            return f"at most {self.high:.4g}"
        return f"{self.low:.4g} to {self.high:.4g}"


@dataclass(frozen=True)
class Table:
    """A table of a report; cells are text, and a row of fewer is filled up."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def shown(found: Interval | None, percent: bool = False) -> str:
    """A mean with its interval, as text.

    >>> shown(Interval(5.21, 4.0, 6.513)), shown(Interval(0.25, 0.2, 0.3), percent=True), shown(None)
    ('5.21 [4, 6.51]', '25% [20, 30]', 'not measured')
    >>> shown(Interval(math.inf, 8.0, math.inf)), shown(Interval(2.0, 2.0, 2.0))
    ('at least 8', '2')
    """
    if found is None:
        return "not measured"
    times, unit = (100, "%") if percent else (1, "")
    mean, low, high = (f"{times * value:.3g}" for value in (found.mean, found.low, found.high))
    if math.isinf(found.high):
        return f"at least {low}{unit}"
    if math.isinf(found.low):
        return f"at most {high}{unit}"
    if math.isnan(found.low) or found.low == found.high:
        return f"{mean}{unit}"
    return f"{mean}{unit} [{low}, {high}]"
