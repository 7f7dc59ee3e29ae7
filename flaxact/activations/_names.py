"""The names in the catalogue, by kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

from flaxact.activations._spec import Spec, catalogue
from flaxact.errors import unknown

Kind = Literal["activation", "pointwise", "coupled", "learned", "stochastic", "transform"]


def names(kind: Kind = "activation") -> tuple[str, ...]:
    """The names of all activations, or of one kind, in alphabetical order.

    Args:
      kind: ``activation`` for all but the transforms; of these ``pointwise`` (each output depends on one
        input), ``coupled`` (the rest), ``learned``, ``stochastic``; or ``transform``.

    Raises:
      InputError: an unknown kind.

    >>> "relu" in names(), "centered" in names(), "centered" in names("transform")
    (True, False, True)
    """
    tests: dict[str, Callable[[Spec], bool]] = {
        "activation": lambda s: not s.is_transform,
        "pointwise": lambda s: not (s.is_transform or s.coupled),
        "coupled": lambda s: s.coupled and not s.is_transform,
        "learned": lambda s: bool(s.learned) and not s.is_transform,
        "stochastic": lambda s: s.stochastic and not s.is_transform,
        "transform": lambda s: s.is_transform,
    }
    if kind not in tests:
        raise unknown("kind", kind, get_args(Kind))
    return tuple(sorted({s.name for s in catalogue.values() if tests[kind](s)}))
