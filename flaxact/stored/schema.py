"""Read stored values as frozen dataclasses; errors name the place in the file and the expected value."""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from pathlib import Path
from typing import Annotated, Any, TypeVar

from flaxact.stored.files import DamagedError, check_seal, read_json

Record = TypeVar("Record")


@dataclasses.dataclass(frozen=True)
class Range:
    """The allowed values of a number: ``Annotated[float, Range(0, 1)]``, both ends included."""

    low: float = -math.inf
    high: float = math.inf

    def __str__(self) -> str:
        if self.high == math.inf:
            return f"{self.low:g} or more"
        return f"from {self.low:g} to {self.high:g}"


Share = Annotated[float, Range(0, 1)]
Number = Annotated[float, Range(-1e39, 1e39)]  # float32's and some more
Positive = Annotated[float, Range(0, 1e39)]
Count = Annotated[int, Range(0, 2**53)]
_NAMES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "names with values",
    type(None): "null",
}


def read_record(kind: type[Record], path: Path) -> Record:
    """Read a record from a JSON file.

    Args:
      kind: a frozen dataclass.
      path: path of the file.

    Raises:
      FileNotFoundError: the file does not exist.
      DamagedError: the file does not hold such a record, or has changed since it was written.
    """
    return decode(kind, read_json(path), path)


def decode(kind: type[Record], value: object, path: object = "") -> Record:
    """A dataclass from a JSON value or the result of ``dataclasses.asdict``; ignores unknown fields.

    Fields may be ``bool``, ``int``, ``float``, ``str``, ``object`` (any JSON value), tuples of one
    type, dictionaries with string keys, other dataclasses, one of these ``| None``, and numbers
    ``Annotated`` with a ``Range``.

    Raises:
      DamagedError: the value does not match; the message names the path, the place in the value and
        the expected type.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Point:
    ...     x: float
    ...     names: tuple[str, ...] = ()
    >>> decode(Point, {"x": 1, "names": ["a"]})
    Point(x=1.0, names=('a',))
    >>> decode(Point, {"x": 1, "names": ["a", 2]}, "point.json")
    Traceback (most recent call last):
    flaxact.stored.files.DamagedError: point.json, names[1]: expected a text, not 2
    """
    check_seal(value, path)
    return _decoded(kind, value, (str(path), ""))


def unexpected(path: object, place: str, expected: str, value: object) -> DamagedError:
    """The error for an unexpected value at some place in a file."""
    where = ", ".join(part for part in (str(path), place.removeprefix(".")) if part)
    return DamagedError(f"{where}: expected {expected}, not {_short_text(value)}")


def _decoded(kind: Any, value: object, at: tuple[str, str]) -> Any:
    origin = typing.get_origin(kind)
    parts = typing.get_args(kind)
    if origin is Annotated:
        return _within(_decoded(parts[0], value, at), parts[1], at)
    if origin is typing.Union or origin is types.UnionType:
        (some,) = (part for part in parts if part is not type(None))
        return None if value is None else _decoded(some, value, at)
    if origin is tuple:
        # dataclasses.asdict leaves tuples as they are; JSON makes lists of them.
        items = enumerate(_checked(list, list(value) if type(value) is tuple else value, at))
        return tuple(_decoded(parts[0], item, _below(at, f"[{i}]")) for i, item in items)
    if origin is dict:
        items = _checked(dict, value, at).items()
        return {_checked(str, k, at): _decoded(parts[1], v, _below(at, f".{k}")) for k, v in items}
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, _checked(dict, value, at), at)
    return value if kind in (Any, object) else _checked(kind, value, at)


def _below(at: tuple[str, str], place: str) -> tuple[str, str]:
    return at[0], at[1] + place


def _within(value: object, range_: Range, at: tuple[str, str]) -> object:
    if isinstance(value, int | float) and not range_.low <= value <= range_.high:
        raise unexpected(*at, str(range_), value)
    return value


def _dataclass(kind: Any, value: dict[str, object], at: tuple[str, str]) -> object:
    fields = {}
    for name, hint, required in _fields(kind):
        if name in value:
            fields[name] = _decoded(hint, value[name], _below(at, f".{name}"))
        elif required:
            raise unexpected(*at, f"a field {name!r}", value)
    return kind(**fields)


@functools.cache
def _fields(kind: type) -> list[tuple[str, object, bool]]:
    hints = typing.get_type_hints(kind, include_extras=True)
    nothing = dataclasses.MISSING
    return [
        (f.name, hints[f.name], f.default is nothing and f.default_factory is nothing)
        for f in dataclasses.fields(kind)
    ]


def _checked(kind: type, value: object, at: tuple[str, str]) -> Any:
    if kind is float and type(value) is int and abs(value) < 2**1023:
        value = float(value)
    fits = type(value) is kind
    if fits and isinstance(value, float):
        fits = math.isfinite(value)
    if fits and isinstance(value, str):
        fits = value.replace("\n", "").isprintable()
    if not fits:
        raise unexpected(*at, _NAMES[kind], value)
    return value


def _short_text(value: object) -> str:
    """A value in a few words."""
    if isinstance(value, dict | list):
        return f"{_NAMES[type(value)]} ({len(value)})"
    text = repr(value) if not isinstance(value, int) or abs(value) < 2**64 else "a huge number"
    return text if len(text) <= 40 else f"{text[:36]} ..."
