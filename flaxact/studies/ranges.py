"""Spec texts with ranges, each of which stands for many activations.

``leaky_relu(negative_slope=0..1:8)`` is eight activations with values at equal distances from 0 to 1,
``elu(alpha=0.01..10:4log)`` four at equal factors, and ``elu(alpha=0.5|1|2)`` the three that are listed.
"""

from __future__ import annotations

import itertools
import re

from flaxact.errors import InputError

MOST = 100  # values of a range
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_VALUES = re.compile(
    rf"(?<![\w.])(?:(?P<low>{_NUMBER})\.\.(?P<high>{_NUMBER})(?::(?P<count>\d+)(?P<log>log)?)?"
    rf"|(?P<list>{_NUMBER}(?:\|{_NUMBER})+))(?![\w.:|])"
)


def expanded(text: str) -> list[str]:
    """The spec texts that a text with ranges stands for; every combination of several ranges.

    Raises:
      InputError: a range without a number of values, or on a log scale with an end that is not above 0.

    >>> expanded("leaky_relu(negative_slope=0..1:3)")
    ['leaky_relu(negative_slope=0)', 'leaky_relu(negative_slope=0.5)', 'leaky_relu(negative_slope=1)']
    >>> expanded("elu(alpha=0.01..1:3log)"), expanded("elu(0.5|2)"), expanded("relu")
    (['elu(alpha=0.01)', 'elu(alpha=0.1)', 'elu(alpha=1)'], ['elu(0.5)', 'elu(2)'], ['relu'])
    """
    matches = list(_VALUES.finditer(text))
    pieces = _VALUES.sub("\0", text).split("\0")
    choices = [_values(match, text) for match in matches]
    return [
        "".join(itertools.chain(*itertools.zip_longest(pieces, values, fillvalue="")))
        for values in itertools.product(*choices)
    ]


def _values(match: re.Match[str], text: str) -> list[str]:
    if match["list"]:
        return match["list"].split("|")
    low = float(match["low"])
    high = float(match["high"])
    count = int(match["count"] or 0)
    if not 2 <= count <= MOST:
        raise InputError(
            f"the range {match[0]} in {text!r} needs a number of values from 2 to {MOST}, as in "
            f"{match['low']}..{match['high']}:5"
        )
    if match["log"] and not (low > 0 and high > 0):
        raise InputError(
            f"the range {match[0]} in {text!r} is on a log scale: its ends must be above 0"
        )
    shares = [i / (count - 1) for i in range(count)]
    if match["log"]:
        values = [low * (high / low) ** share for share in shares]
    else:
        values = [low + (high - low) * share for share in shares]
    return [f"{value + 0.0:.6g}" for value in values]
