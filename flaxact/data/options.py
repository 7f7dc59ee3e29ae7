"""Functions with checked options, named by a spec text such as ``crop(padding=4)``."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from flaxact import spec_text
from flaxact.errors import InputError, unknown

Limits = Mapping[str, tuple[float, float]]  # the least and the greatest value of an option
Option = bool | int | float
TYPES = {"bool": bool, "int": int, "float": float}


@dataclass(frozen=True, eq=False, kw_only=True)
class Entry:
    """A function in a catalogue; its options are the arguments annotated bool, int or float."""

    name: str
    function: Callable[..., Any]
    limits: Limits = field(default_factory=dict)

    @property
    def options(self) -> dict[str, inspect.Parameter]:
        """The options by name, in the order of positional values in a spec text."""
        parameters = inspect.signature(self.function).parameters
        return {name: p for name, p in parameters.items() if p.annotation in TYPES}


E = TypeVar("E", bound=Entry)


def bound(kind: str, text: str, catalogue: Mapping[str, E]) -> tuple[E, dict[str, Option]]:
    """The entry that a spec text names, and the value of every option.

    Raises:
      InputError: an unknown name or option, too many values, or a value of another type or out of
        range.
    """
    call = spec_text.parse(text)
    if call.name not in catalogue:
        raise unknown(kind, call.name, catalogue)
    entry = catalogue[call.name]
    names = list(entry.options)
    if len(call.args) > len(names):
        raise InputError(f"{text!r} gives {len(call.args)} values; {_usage(entry)}")
    values = dict(zip(names, call.args, strict=False))
    for name, value in call.kwargs:
        if name not in names:
            raise unknown(f"option of {entry.name}", name, names)
        if name in values:
            raise InputError(f"{text!r} gives {name} twice")
        values[name] = value
    return entry, {name: _value(text, entry, name, values) for name in names}


def _value(text: str, entry: Entry, name: str, values: Mapping[str, spec_text.Value]) -> Option:
    parameter = entry.options[name]
    value = values.get(name, parameter.default)
    if value is inspect.Parameter.empty:
        raise InputError(f"{text!r} has no {name}; {_usage(entry)}")
    value = spec_text.checked(f"{text!r}: {name} must be {{}}", value, TYPES[parameter.annotation])
    low, high = entry.limits.get(name, (-math.inf, math.inf))
    if not low <= value <= high:
        allowed = f"{low:g} or more" if high == math.inf else f"from {low:g} to {high:g}"
        raise InputError(f"{text!r}: {name} must be {allowed}, not {value}")
    return value


def _usage(entry: Entry) -> str:
    arguments = [
        name if p.default is p.empty else f"{name}={p.default}" for name, p in entry.options.items()
    ]
    return f"write {entry.name}({', '.join(arguments)})"


def written(name: str, options: Mapping[str, Option]) -> str:
    """The spec text of a name with its options.

    >>> written("crop", {"padding": 4})
    'crop(padding=4)'
    """
    return str(spec_text.Call(name, (), tuple(options.items())))
