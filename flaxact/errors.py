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


def hint(close: str | None) -> str:
    """How a message goes on after the name that is not known: with the nearest, where there is one."""
    return f"; did you mean {close!r}?" if close else "."


def unknown(kind: str, given: str, allowed: Iterable[str]) -> InputError:
    """An error for a name that is not among the allowed ones.

    >>> raise unknown("activation", "rleu", ["relu", "elu"])
    Traceback (most recent call last):
    flaxact.errors.InputError: unknown activation 'rleu'; did you mean 'relu'? Allowed: elu, relu
    """
    allowed = sorted(allowed)
    said = hint(nearest(given, allowed))
    return InputError(f"unknown {kind} {given!r}{said} Allowed: {', '.join(allowed) or 'none'}")
