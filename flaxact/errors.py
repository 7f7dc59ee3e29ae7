"""What flaxact raises at its doors: one line with what was given, what is allowed, the nearest name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """The caller gave something that flaxact cannot take. The command line prints it and exits 2."""


def nearest(given: str, allowed: Iterable[str]) -> str | None:
    """The allowed name most like the given one, or None where none is.

    >>> nearest("rleu", ["relu", "elu", "tanh"])
    'relu'
    """
    close = difflib.get_close_matches(given, list(allowed), n=1, cutoff=0.5)
    return close[0] if close else None


def unknown(kind: str, given: str, allowed: Iterable[str]) -> InputError:
    """An error for a name that is not among the allowed ones.

    >>> raise unknown("activation", "rleu", ["relu", "elu"])
    Traceback (most recent call last):
    flaxact.errors.InputError: unknown activation 'rleu'; did you mean 'relu'? Allowed: elu, relu
    """
    allowed = sorted(allowed)
    close = nearest(given, allowed)
    hint = f"; did you mean {close!r}?" if close else "."
    return InputError(f"unknown {kind} {given!r}{hint} Allowed: {', '.join(allowed) or 'none'}")
