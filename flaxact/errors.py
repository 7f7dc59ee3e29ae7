"""Errors for invalid input: one line with the value, the allowed values, and the nearest name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

__all__ = ["InputError"]  # the rest is for flaxact's own modules
LONGEST = 300  # characters of a message
LISTED = 200  # characters of all names that are allowed; of more, only the nearest are named
NEAREST = 5


class InputError(ValueError):
    """The caller gave a value that flaxact cannot use. The command line prints the message and exits 2.

    The message is one line of at most ``longest`` characters, without control characters.
    """

    def __init__(self, message: object = "", longest: int = LONGEST):
        super().__init__(one_line(str(message), longest))

    def __reduce__(self) -> tuple[type, tuple[str, int]]:  # another process does not cut it again
        return type(self), (str(self), max(LONGEST, len(str(self))))


def one_line(text: str, longest: int = LONGEST) -> str:
    r"""A text as one line for a terminal: white space becomes spaces, unprintable characters are escaped.

    The middle of a longer text is left out.

    >>> one_line("bad\n value \x1b[1m"), one_line("0123456789", 8)
    ('bad  value \\x1b[1m', '01 ... 9')
    """
    characters = (c if c.isprintable() else " " if c.isspace() else ascii(c)[1:-1] for c in text)
    line = "".join(characters)
    head = (longest - 4) // 2
    return line if len(line) <= longest else f"{line[:head]} ... {line[head + 5 - longest :]}"


def nearest(name: str, allowed: Iterable[str]) -> str | None:
    """The allowed name closest to a given one, ignoring case, or None if none is close.

    The initials of a name of several words match it.

    >>> nearest("rleu", ["relu", "elu", "tanh"]), nearest("LeakyReLU", ["relu", "leaky_relu"])
    ('relu', 'leaky_relu')
    >>> nearest("lr", ["seeds", "learning_rate"])
    'learning_rate'
    """
    return next(iter(_closest(name, allowed, 1, cutoff=0.5)), None)


def _closest(given: str, allowed: Iterable[str], count: int, cutoff: float) -> list[str]:
    """The allowed names closest to a given one, best first."""
    letters = _letters(given)
    allowed = list(allowed)
    by_letters: dict[str, str] = {}
    for name in sorted(allowed, key=lambda name: name != given):
        by_letters.setdefault(_letters(name), name)
    same = [by_letters[letters]] if letters in by_letters else []
    initials = [name for name in allowed if len(letters) > 1 and _initials(name) == letters]
    close = difflib.get_close_matches(letters, list(by_letters), n=count, cutoff=cutoff)
    return list(dict.fromkeys([*same, *initials, *(by_letters[name] for name in close)]))[:count]


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name).casefold() or name


def _initials(name: str) -> str:
    words = re.findall(r"[^\W_]+", name)
    return "".join(word[0] for word in words).casefold() if len(words) > 1 else ""


def hint(close: str | None) -> str:
    """The end of a message about an unknown name: the nearest one, if there is one."""
    return f"; did you mean {close!r}?" if close else "."


def unknown(kind: str, name: str, allowed: Iterable[str]) -> InputError:
    """An error for a name that is not allowed; lists all allowed names, or the nearest of many.

    >>> raise unknown("activation", "rleu", ["relu", "elu"])
    Traceback (most recent call last):
    flaxact.errors.InputError: unknown activation 'rleu'; did you mean 'relu'? Allowed: elu, relu
    """
    allowed = sorted(allowed)
    listed = f"Allowed: {', '.join(allowed) or 'none'}"
    if len(listed) > LISTED:
        few = ", ".join(_closest(name, allowed, NEAREST, cutoff=0.0))
        listed = f"The nearest of {len(allowed)}: {few}"
    return InputError(f"unknown {kind} {name!r}{hint(nearest(name, allowed))} {listed}")


def __dir__() -> list[str]:
    return __all__
