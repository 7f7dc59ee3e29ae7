"""Spec texts such as ``elu(alpha=0.5)``, and the check of a value in them.

A spec text has names, numbers and parentheses, as in ``centered(leaky_relu(0.2), std=2)`` or
``cuda_convnet(variant=18pct)``. Nothing in it is executed.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, cast

from flaxact.errors import InputError

_TOKEN = re.compile(
    r"\s*(?:(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))"
    r"|(?P<word>\w+)|(?P<mark>[(),=]))"
)

TYPE_NAMES = {bool: "True or False", int: "a whole number", float: "a number", str: "a text"}


@dataclass(frozen=True)
class Call:
    """A name with its arguments as written, such as ``elu(alpha=0.5)``; a bare name has none."""

    name: str
    args: tuple[Value, ...] = ()
    kwargs: tuple[tuple[str, Value], ...] = ()

    def __str__(self) -> str:
        inner = [str(a) for a in self.args] + [f"{k}={v}" for k, v in self.kwargs]
        return f"{self.name}({', '.join(inner)})" if inner else self.name


Value = bool | int | float | Call
HUGE = 2**63  # a whole number as large is no width, axis or count


def plain(value: Any) -> Any:
    """A real number, also a NumPy scalar, as Python's ``bool``, ``int`` or ``float``; else unchanged.

    >>> plain(True), plain(3), plain("3")
    (True, 3, '3')
    """
    if type(value) in (bool, int, float):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return as_float(cast("float", value))
    numpy = sys.modules.get("numpy")
    return bool(value) if numpy and isinstance(value, numpy.bool_) else value


def as_float(value: float) -> float:
    """A real number as a float; infinity for an integer that is too large for a float."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def checked(requirement: str, value: object, kind: type) -> Any:
    """A value as ``bool``, ``int``, ``float`` or ``str``; an integer is accepted as a float.

    Args:
      requirement: the beginning of the message, in which ``{}`` stands for the kind.

    Raises:
      InputError: the value has another type, or is an integer of more than 64 bits.

    >>> checked("elu needs {} as alpha", 3, float)
    3.0
    >>> checked("elu needs {} as alpha", "3", float)
    Traceback (most recent call last):
    flaxact.errors.InputError: elu needs a number as alpha, not '3'
    """
    number = plain(value)
    if kind is float and type(number) is int:
        number = as_float(number)
    if type(number) is not kind or (kind is int and abs(number) >= HUGE):
        expected = requirement.replace("{}", TYPE_NAMES[kind])
        raise InputError(f"{expected}, not {value_text(value)}")
    return number


def value_text(value: object) -> str:
    """A value as text for an error message; arrays and huge numbers are shortened."""
    if type(value) is int and abs(value) >= HUGE:
        return "a huge number"
    if hasattr(value, "dtype"):
        return f"{type(value).__name__} {value!r:.40}"
    try:
        return repr(value) if isinstance(value, str) else str(value)
    except ValueError:
        return f"a {type(value).__name__} with a huge number"


def parse(text: str) -> Call:
    """Parse a spec text.

    Raises:
      InputError: the text is not names, numbers and parentheses; the message says where it breaks.

    >>> parse("centered(elu(alpha=0.5), std=2)")
    Call(name='centered', args=(Call(name='elu', args=(), kwargs=(('alpha', 0.5),)),), \
kwargs=(('std', 2),))
    >>> str(parse(" leaky_relu( .2 ) "))
    'leaky_relu(0.2)'
    """
    tokens = list(_tokens(text))
    value, rest = _value(text, tokens)
    if not isinstance(value, Call):
        raise InputError(f"{text!r} is not a name; write one like elu or elu(alpha=0.5)")
    if rest != [("end", "")]:
        raise _broken(text, rest[0][1])
    return value


def _broken(text: str, token: str) -> InputError:
    where = f"at {token!r}" if token else "at its end"
    return InputError(
        f"cannot read {text!r} {where}: only names, numbers and brackets, as in elu(alpha=0.5)"
    )


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    end = len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if not match or match.lastgroup is None:
            raise _broken(text, text[at:].strip()[:12])
        yield match.lastgroup, match[match.lastgroup]
        at = match.end()
    yield "end", ""


def _value(text: str, tokens: list[tuple[str, str]]) -> tuple[Value, list[tuple[str, str]]]:
    (kind, token), *rest = tokens
    if kind == "number":
        return _number(text, token), rest
    if kind != "word":
        raise _broken(text, token)
    if token in ("True", "False"):
        return token == "True", rest
    if rest[0][1] != "(":
        return Call(token), rest
    return _call(text, token, rest[1:])


def _number(text: str, token: str) -> int | float:
    if not re.fullmatch(r"[-+]?\d+", token):
        if math.isinf(number := float(token)):
            raise InputError(f"a number is too large in {text!r}")
        return number
    if math.isinf(float(token)):
        raise InputError(f"an integer in {text!r} is too large")
    return int(token)


def _call(text: str, name: str, tokens: list[tuple[str, str]]) -> tuple[Call, list]:
    args: list[Value] = []
    kwargs: dict[str, Value] = {}
    while tokens[0][1] != ")":
        if tokens[0][0] == "word" and tokens[1][1] == "=":
            key = tokens[0][1]
            if key in kwargs:
                raise InputError(f"{text!r} gives {key} twice")
            kwargs[key], tokens = _value(text, tokens[2:])
        elif kwargs:
            raise InputError(f"{text!r}: a positional value follows a named one")
        else:
            value, tokens = _value(text, tokens)
            args.append(value)
        if tokens[0][1] == ",":
            tokens = tokens[1:]
        elif tokens[0][1] != ")":
            raise _broken(text, tokens[0][1])
    return Call(name, tuple(args), tuple(kwargs.items())), tokens[1:]
