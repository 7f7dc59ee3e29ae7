"""Members: the nets that are trained together and how they may differ. Does not import jax."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral

from flaxact.errors import InputError
from flaxact.spec_text import checked
from flaxact.stored.files import Json


@dataclass(frozen=True)
class Member:
    """One of several trainings of the same net on the same data that run at once.

    Attributes:
      seed: seed of weights, batch order, augmentation and dropout.
      learning_rate: None for the recipe's.
      momentum: None for the recipe's. If the recipe has no momentum (0), a member cannot have one.
      hyperparameters: (name, value) pairs for the net's activations; the net must be made with
        ``from_linen(module, hyperparameters=...)``.

    Raises:
      InputError: a value out of its range.
    """

    seed: int = 0
    learning_rate: float | None = None
    momentum: float | None = None
    hyperparameters: tuple[tuple[str, float], ...] = ()

    def __post_init__(self):
        is_integer = isinstance(self.seed, Integral) and not isinstance(self.seed, bool)
        if not is_integer or not -(2**31) <= self.seed < 2**31:
            raise InputError(f"a seed must be a 32-bit integer, not {self.seed!r}")
        object.__setattr__(self, "seed", int(self.seed))  # NumPy's has no JSON
        for name in ("learning_rate", "momentum"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _number(name, getattr(self, name)))
        numbers = tuple((name, _number(name, value)) for name, value in self.hyperparameters)
        object.__setattr__(self, "hyperparameters", numbers)
        if self.learning_rate is not None and not 0 < self.learning_rate < math.inf:
            raise InputError(f"learning_rate must be above 0, not {self.learning_rate!r}")
        if self.momentum is not None and not 0 <= self.momentum < 1:
            raise InputError(f"momentum must be at least 0 and below 1, not {self.momentum!r}")

    @property
    def swept(self) -> tuple[str, ...]:
        """The names of the member's hyperparameters."""
        return tuple(name for name, _ in self.hyperparameters)

    def described(self) -> dict[str, Json]:
        """The fields as JSON values, without those left to the recipe."""
        fields = {k: v for k, v in vars(self).items() if v is not None and v != ()}
        if self.hyperparameters:
            fields["hyperparameters"] = dict(self.hyperparameters)
        return fields


def _number(name: str, value: object) -> float:
    """A value as a Python float, which JSON can hold."""
    number = checked(f"{name} must be {{}}", value, float)
    if not math.isfinite(number):
        raise InputError(f"{name} must be a number, not {number}")
    return number


def as_members(members: Sequence[Member | int]) -> list[Member]:
    """The members, where an integer stands for ``Member(seed=...)``."""
    return [member if isinstance(member, Member) else Member(member) for member in members]


def grid(
    seeds: Sequence[int],
    learning_rates: Sequence[float | None] = (None,),
    momenta: Sequence[float | None] = (None,),
    **hyperparameters: Sequence[float],
) -> tuple[Member, ...]:
    """Members for every combination of seed, learning rate, momentum and hyperparameter values.

    >>> [(m.learning_rate, m.seed) for m in grid([0, 1], [0.1, 0.3])]
    [(0.1, 0), (0.1, 1), (0.3, 0), (0.3, 1)]
    """
    values = itertools.product(*([(k, v) for v in vs] for k, vs in hyperparameters.items()))
    return tuple(
        Member(seed, rate, momentum, pairs)
        for pairs in values
        for rate in learning_rates
        for momentum in momenta
        for seed in seeds
    )
