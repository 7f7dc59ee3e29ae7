"""An answer to a question, in sentences, each with the claims that support or contradict it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from flaxact.errors import unknown
from flaxact.reproduction import papers
from flaxact.reproduction.claim import NOT_MEASURED, Judged, Outcome, format_interval

JudgedRuns = Mapping[str, Mapping[str, Judged]]  # by run and key of the claim


class Vote(StrEnum):
    """What the primary claim of a sentence implies: for, against or open."""

    FOR = "for"
    AGAINST = "against"
    OPEN = "open"


VOTES = {Outcome.INSIDE: Vote.FOR, Outcome.OUTSIDE: Vote.AGAINST, Outcome.OPEN: Vote.OPEN}


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """A sentence of an answer, and the claims that support or contradict it.

    Claims are named "paper.key", or "paper@scale.key" for the run of one scale. In the texts of the
    conclusion such a name in braces stands for the measured interval.

    Attributes:
      text: the sentence.
      primary: the claim that decides: *for* if it holds, *against* if it does not.
      conclusion: the conclusion in one or two lines for each case of the primary claim: for,
        against, open, and optionally ``unmeasured``.
      also: further claims that limit or support the sentence, listed below the primary one.
      note: further remarks.
    """

    text: str
    primary: str
    conclusion: Mapping[str, str]
    also: tuple[str, ...] = ()
    note: str = ""

    @property
    def claims(self) -> tuple[str, ...]:
        """The names of all claims of the sentence, the primary one first."""
        return (self.primary, *self.also)

    def vote(self, judged_runs: JudgedRuns) -> Vote:
        """What the primary claim says: for, against, or open (a re-test, retired, unmeasured)."""
        judged = lookup(self.primary, judged_runs)
        return VOTES[judged.outcome] if judged is not None and judged.decides else Vote.OPEN


@dataclass(frozen=True, kw_only=True)
class Headline:
    """A line of the box at the top of the summary page.

    Attributes:
      text: the line, with names of claims in braces.
      otherwise: the line to show if one of these claims is not measured.
    """

    text: str
    otherwise: str

    def filled_in(self, judged_runs: JudgedRuns) -> str:
        """The line with the measured intervals filled in."""
        line = fill_in(self.text, judged_runs)
        return fill_in(self.otherwise, judged_runs) if NOT_MEASURED in line else line


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """A line of the forest plot on the summary page.

    Attributes:
      claim: "paper@scale.key" of a claim whose quantity is a ratio.
      label: what is compared.
      size: size of the run, in words.
      published: the published ratio; None if none is published.
    """

    claim: str
    label: str
    size: str
    published: float | None = None


def parse_claim_name(name: str) -> tuple[str, str]:
    """The run ("paper" or "paper@scale") and the key of a claim's name.

    Raises:
      InputError: no such claim.
    """
    run, _, key = name.partition(".")
    paper = paper_of(run)
    keys = [claim.key for claim in papers.load(paper).CLAIMS]
    if key not in keys:
        raise unknown(f"claim of {paper}", key, keys)
    return run, key


def fill_in(text: str, judged_runs: JudgedRuns) -> str:
    """A text with the measured interval in place of each "{paper.key}"."""

    def interval(match: re.Match[str]) -> str:
        parse_claim_name(match[1])
        judged = lookup(match[1], judged_runs)
        return format_interval(None if judged is None else judged.interval)

    return re.sub(r"\{([a-z0-9_@]+\.[^{}]+)\}", interval, text)


def paper_of(run: str) -> str:
    """The paper of a run: "paper" of "paper@scale"."""
    return run.partition("@")[0]


def lookup(name: str, judged_runs: JudgedRuns) -> Judged | None:
    """The judged claim of a name such as "paper.key"; None if it has not been run."""
    run, key = parse_claim_name(name)
    return judged_runs.get(run, {}).get(key)
