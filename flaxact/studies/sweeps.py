"""The sweeps over hyperparameters among a study's activations. Does not import jax."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flaxact import spec_text
from flaxact.activations import Activation, get
from flaxact.errors import InputError
from flaxact.studies import summary
from flaxact.studies._records import Results
from flaxact.studies.summary import Row

FEWEST = 3  # activations that are a sweep


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """Activations of a study that differ in one or two numbers only.

    Attributes:
      name: the activation, with the values that do not differ.
      names: the one or two hyperparameters.
      rows: rows of the study, in ascending order of the values.
      values: the values of each row, one per hyperparameter.
    """

    name: str
    names: tuple[str, ...]
    rows: tuple[Row, ...]
    values: tuple[tuple[float, ...], ...]


def sweeps(results: Results) -> list[Sweep]:
    """Three or more of a study's activations that differ in one number, or in two that fill a grid."""
    groups: dict[str, list[tuple[Row, dict[str, float]]]] = {}
    for row in summary.rows(results):
        form, numbers = _numbers(_known(row.activation))
        groups.setdefault(form, []).append((row, numbers))
    candidates = [_sweep(members) for members in groups.values() if len(members) >= FEWEST]
    return [sweep for sweep in candidates if sweep is not None]


def _sweep(members: Sequence[tuple[Row, dict[str, float]]]) -> Sweep | None:
    names = [
        name for name in members[0][1] if len({numbers.get(name) for _, numbers in members}) > 1
    ]
    if not 1 <= len(names) <= 2:
        return None
    points = [(tuple(numbers[name] for name in names), row) for row, numbers in members]
    points.sort(key=lambda point: point[0])
    sizes = [len(set(values)) for values in zip(*(values for values, _ in points), strict=True)]
    if math.prod(sizes) != len(points):
        return None
    return Sweep(
        name=_short(members[0][0].activation),
        names=tuple(names),
        rows=tuple(row for _, row in points),
        values=tuple(values for values, _ in points),
    )


def _short(text: str) -> str:
    """The names in a spec text: ``scaled(elu)`` of ``scaled(elu(alpha=0.5), output=2.0)``."""

    def inner(call: spec_text.Call) -> str:
        calls = [inner(value) for value in call.args if isinstance(value, spec_text.Call)]
        return f"{call.name}({', '.join(calls)})" if calls else call.name

    return inner(spec_text.parse(text))


def _known(text: str) -> Activation | spec_text.Call:
    """An activation; of one that is not defined here its text, without the defaults."""
    for read in (get, spec_text.parse):
        with contextlib.suppress(InputError):
            return read(text)
    return spec_text.Call(text)


def _numbers(activation: Activation | spec_text.Call) -> tuple[str, dict[str, float]]:
    """Its text without numbers, and the numbers by hyperparameter."""
    if isinstance(activation, Activation):
        name = activation.spec.name
        arguments: dict[str, Any] = activation.hyperparameters
    else:
        name = activation.name
        arguments = {str(i): value for i, value in enumerate(activation.args)} | dict(
            activation.kwargs
        )
    parts = []
    numbers = {}
    for key, value in arguments.items():
        if isinstance(value, Activation | spec_text.Call):
            form, inner = _numbers(value)
            parts.append(form)
            numbers |= {f"{of} of {form.partition('(')[0]}": number for of, number in inner.items()}
        elif isinstance(value, int | float) and not isinstance(value, bool):
            parts.append(key)
            numbers[key] = float(value)
        else:
            parts.append(f"{key}={value}")
    return f"{name}({', '.join(parts)})", numbers
