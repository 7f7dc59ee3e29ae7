"""The activations that meet a condition on their facts."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import fields

from flaxact.activations import Activation, get, names
from flaxact.facts import conditions
from flaxact.facts.functions import (
    arrays_kept,
    lipschitz,
    moments,
    saturation,
    symmetry,
    transcendentals,
)
from flaxact.theory import Moments, fixed_point

# What a condition may speak of: each a function of an activation.
YES_OR_NO: dict[str, Callable[[Activation], bool]] = {
    "monotonic": lambda a: a.monotonic,
    "learned": lambda a: bool(a.learned),
    "stochastic": lambda a: a.stochastic,
    "coupled": lambda a: a.spec.coupled,
    "pointwise": lambda a: not a.spec.coupled,
    "bounded": lambda a: all(map(math.isfinite, a.range)),
    "bounded_below": lambda a: math.isfinite(a.range[0]),
    "bounded_above": lambda a: math.isfinite(a.range[1]),
    "smooth": lambda a: math.isinf(a.smoothness),
    "saturating": lambda a: saturation(a) != "none",
    "odd": lambda a: symmetry(a) == "odd",
    "even": lambda a: symmetry(a) == "even",
    "zero_mean": lambda a: abs(moments(a).mean) < 1e-9,
    "sparse": lambda a: moments(a).zeros > 0,
}
NUMBERS: dict[str, Callable[[Activation], float]] = {
    "smoothness": lambda a: a.smoothness,
    "lipschitz": lipschitz,
    "transcendentals": transcendentals,
    "arrays_kept": arrays_kept,
    "gain": lambda a: moments(a).gain,
    "fixed_point": fixed_point,
    **{f.name: lambda a, name=f.name: getattr(moments(a), name) for f in fields(Moments)},
}
_OF_ANY = {
    "learned", "stochastic", "coupled", "pointwise", "bounded", "bounded_below", "bounded_above",
}  # fmt: skip


def select(where: str) -> tuple[str, ...]:
    """The names of the activations that meet a condition on their facts.

    Facts that only pointwise activations have are unknown for the others. An activation is selected
    if the condition is true for any value of the unknown facts.

    Args:
      where: facts (``YES_OR_NO`` and ``NUMBERS``) and numbers with and, or, not and comparisons.

    Raises:
      InputError: a condition that cannot be parsed, or an unknown fact.

    >>> "tanh" in select("monotonic and odd and bounded"), "tanh" in select("not bounded")
    (True, False)
    """
    condition = conditions.parse(where, YES_OR_NO, NUMBERS)

    def meets(name: str) -> bool:
        return conditions.holds(condition, functools.partial(fact, get(name))) is True

    return tuple(filter(meets, names()))


def fact(activation: Activation, name: str) -> float | None:
    """A fact of an activation by its name in a condition; None if it is not defined for this activation.

    >>> fact(get("relu"), "zeros"), fact(get("softmax"), "zeros"), fact(get("softmax"), "coupled")
    (0.5, None, True)
    """
    if activation.spec.coupled and name not in _OF_ANY:
        return None
    return (YES_OR_NO | NUMBERS)[name](activation)
