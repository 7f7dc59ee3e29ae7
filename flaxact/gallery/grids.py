"""The hyperparameters that the explorer has sliders for, and the values at which curves are computed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args, get_type_hints

from flaxact._lazy import np
from flaxact.activations import Activation, bind
from flaxact.activations._spec import OPTIONS
from flaxact.errors import InputError

# Values along each continuous axis, by how many of these there are. Odd: the default is in the middle.
_SIZES = {1: 25, 2: 11, 3: 5, 4: 5}
_FEWEST = 3
_FULL_REACH = 2  # with more continuous axes than this, each reaches half as far
_MOST_NODES = 729
# Each value of a hyperparameter that no array can hold needs a compiled program of its own.
_MOST_PROGRAMS = 5
_SEPARATE_SIZE = 5


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A hyperparameter and its values, in order.

    Attributes:
      scale: ``linear`` or ``log``: between the values, curves are interpolated on this scale;
        ``choice``: the values stand alone.
      default: the index of the default value.
      traced: whether one compiled program serves all values.
    """

    name: str
    values: tuple[Any, ...]
    scale: Literal["linear", "log", "choice"]
    default: int
    traced: bool


def axes(activation: Activation) -> tuple[tuple[Axis, ...], tuple[str, ...]]:
    """The axes of an activation's grid, and the names of hyperparameters that stay at their defaults.

    >>> from flaxact import get
    >>> (alpha,), fixed = axes(get("elu"))
    >>> alpha.scale, len(alpha.values), alpha.values[0], alpha.values[12], alpha.values[24], fixed
    ('log', 25, 0.25, 1.0, 4.0, ())
    """
    parameters = [p for p in activation.spec.hyperparameters.values() if p.name not in OPTIONS]
    traced = [p.name for p in parameters if _is_traced(activation, p.name)]
    grid_axes: list[Axis] = []
    fixed = []
    for parameter in parameters:
        size = _SIZES.get(len(traced), _FEWEST) if parameter.name in traced else _SEPARATE_SIZE
        reach = 1.0 if len(traced) <= _FULL_REACH else 0.5
        axis = _axis(activation, parameter.name, reach * np.linspace(-1, 1, size))
        if axis is None or not _is_affordable([*grid_axes, axis]):
            fixed.append(parameter.name)
        else:
            grid_axes.append(axis)
    return tuple(grid_axes), tuple(fixed)


def nodes(activation: Activation, over: tuple[Axis, ...]) -> list[Activation | None]:
    """The activation at every combination of values, last axis fastest; None for invalid values."""
    combinations = itertools.product(*(axis.values for axis in over))
    names = [axis.name for axis in over]
    return [bound(activation, dict(zip(names, values, strict=True))) for values in combinations]


def _is_traced(activation: Activation, name: str) -> bool:
    spec = activation.spec
    learned_number = name in spec.learned and name not in spec.static
    is_number = isinstance(spec.hyperparameters[name].default, float)
    return name in activation.continuous or (learned_number and is_number)


def _is_affordable(over: list[Axis]) -> bool:
    programs = math.prod(len(axis.values) for axis in over if not axis.traced)
    return math.prod(len(a.values) for a in over) <= _MOST_NODES and programs <= _MOST_PROGRAMS


def bound(activation: Activation, values: Mapping[str, object]) -> Activation | None:
    """The activation with these hyperparameters; None if a value is invalid."""
    try:
        entry = bind(activation, **values)
        _ = entry.breaks  # facts may refuse values, too
    except InputError:
        return None
    return entry


def _axis(activation: Activation, name: str, steps: np.ndarray) -> Axis | None:
    """The axis of a hyperparameter; None for one that has no values beside its default."""
    default = activation.hyperparameters[name]
    if isinstance(default, float):
        scale, candidates = _numbers(activation, name, steps)
    else:
        scale = "choice"
        candidates = _choices(activation, name, default)
    values = tuple(v for v in candidates if bound(activation, {name: v}) is not None)
    if len(values) < 2 or default not in values:
        return None
    traced = _is_traced(activation, name)
    return Axis(name=name, values=values, scale=scale, default=values.index(default), traced=traced)


def _numbers(
    activation: Activation, name: str, steps: np.ndarray
) -> tuple[Literal["linear", "log"], list[float]]:
    """The default at step 0, and from there as far as the steps say.

    Steps of -1 and 1 lead to a quarter of a scale and four times it, and as far on either side of any
    other number. A share has the whole interval.
    """
    default = float(cast("float", activation.hyperparameters[name]))
    middle = len(steps) // 2
    steps = np.where(np.arange(len(steps)) == middle, 0.0, steps)
    if name in activation.spec.unit:
        return "linear", sorted({default, *np.linspace(0, 1, len(steps)).tolist()})
    if default > 0 and (name in activation.spec.positive or default > 2):
        values = default * 4.0**steps
        values[middle] = default
        return "log", values.tolist()
    return "linear", (default + max(1.0, 2 * abs(default)) * steps).tolist()


def _choices(activation: Activation, name: str, default: object) -> list:
    if isinstance(default, bool):
        return [False, True]
    if isinstance(default, int):
        return sorted({max(1, default // 2), default, 2 * default})
    hint = get_type_hints(activation.spec.function).get(name)
    return list(get_args(hint))
