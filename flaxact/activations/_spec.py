"""The facts of an activation (Spec), an activation as a value (Activation), and the catalogue."""

from __future__ import annotations

import functools
import importlib
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, Union, cast

from flaxact import spec_text
from flaxact._lazy import jax, jnp
from flaxact.errors import unknown

Bounds = tuple[float, float]
Fact = TypeVar("Fact")
Axes = int | tuple[int, ...] | None  # one axis, several, or all
Hyperparameter = Union[bool, int, float, tuple[int, ...], "Activation", None]
Learned = Any  # an array that is None in a signature, and at its initial value in a call
catalogue: dict[str, Spec] = {}  # by name and alias; filled by @activation
# Hyperparameters that choose how, not what, is computed: no fact depends on them.
OPTIONS = ("per_channel", "exact_derivative")


@dataclass(frozen=True, eq=False, kw_only=True)
class Spec:
    """The facts about an activation, or about a transform of activations; see ``activation``.

    Each of ``range``, ``kinks``, ``jumps``, ``monotonic`` and ``smoothness`` is a value, or a
    function of the hyperparameters by name if it depends on them.

    Attributes:
      range: the interval of the values.
      kinks: the inputs at which the derivative jumps.
      jumps: the inputs at which the value jumps.
      monotonic: whether it never decreases.
      smoothness: how many derivatives are continuous; ``math.inf`` for all.
      positive: hyperparameters that must be positive.
      above_one: hyperparameters that must exceed 1.
      unit: hyperparameters that must lie in [0, 1].
      ordered: two hyperparameters, the first of which must not exceed the second.
      static: hyperparameters that must be numbers, because something is computed from them before
        any array.
      exact: hyperparameters that need more digits than float32 has, such as a frequency.
      learned: the parameters that training changes.
      initial: ``initial(key, width, **hyperparameters)``, the initial learned parameters if they
        are not numbers.
      coupled: whether an output depends on other inputs than its own, or on its position.
      keeps_integers: whether integers stay integers instead of becoming floats.
      takes_complex: whether the input may be complex; the facts are those on the real numbers.
      width: a function of the input's width, and of the hyperparameters by name, that gives the
        output's.
      note: where libraries or papers disagree.
      aliases: further names.
      near: spec texts of functions that are taken for it; ``describe`` computes the distances.
      surrogate: whether its derivative is a surrogate that differs from the slope of its values.
      fixed: for a transform: whether it takes only activations without learned parameters.
    """

    name: str
    function: Callable[..., jax.Array]
    formula: str
    source: str
    range: Bounds | Callable[..., Bounds]
    kinks: tuple[float, ...] | Callable[..., tuple[float, ...]] = ()
    jumps: tuple[float, ...] | Callable[..., tuple[float, ...]] = ()
    monotonic: bool | Callable[..., bool] = True
    smoothness: float | Callable[..., float] | None = None
    aliases: tuple[str, ...] = ()
    near: tuple[str, ...] = ()
    positive: tuple[str, ...] = ()
    above_one: tuple[str, ...] = ()
    unit: tuple[str, ...] = ()
    ordered: tuple[str, str] | None = None
    static: tuple[str, ...] = ()
    exact: tuple[str, ...] = ()
    learned: tuple[str, ...] = ()
    initial: Callable[..., dict[str, jax.Array]] | None = None
    coupled: bool = False
    width: Callable[..., int] | None = None
    fixed: bool = False
    surrogate: bool = False
    keeps_integers: bool = False
    takes_complex: bool = False
    note: str = ""
    hyperparameters: Mapping[str, inspect.Parameter]
    verify: Callable[[Activation], None] | None = None

    @property
    def is_transform(self) -> bool:
        """Whether it takes an activation and returns another."""
        return any(map(takes_activation, self.hyperparameters.values()))

    @property
    def stochastic(self) -> bool:
        """Whether it draws random numbers from a ``key`` in training."""
        return "key" in inspect.signature(self.function).parameters

    @property
    def arrays(self) -> tuple[str, ...]:
        """The further arrays that a call may take, such as a mask."""
        parameters = list(inspect.signature(self.function).parameters.values())[1:]
        names = (p.name for p in parameters if p.default is None)
        return tuple(name for name in names if name != "key" and name not in self.learned)

    @property
    def ours(self) -> bool:
        """Whether it is one of flaxact's own, whose facts are checked by its tests."""
        return self.function.__module__.startswith("flaxact.")

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return (inspect.getdoc(self.function) or "").split("\n")[0]


def takes_activation(parameter: inspect.Parameter) -> bool:
    return parameter.annotation in (Activation, "Activation")


def takes_axes(parameter: inspect.Parameter) -> bool:
    return parameter.annotation in (Axes, "Axes")


@dataclass(frozen=True)
class Activation:
    """An activation with its hyperparameters: a function of an array, and a value.

    Frozen, hashable and compared by value, so equal activations share one trace. ``str`` gives the
    spec text from which ``get`` recreates it.

    >>> from flaxact import get
    >>> str(get("elu(alpha=0.5)")), get("elu(1.0)") == get("elu")
    ('elu(alpha=0.5)', True)
    """

    spec: Spec
    changed: tuple[tuple[str, Hyperparameter], ...] = field(default=())

    def __call__(self, x: jax.Array, *, key: jax.Array | None = None, **parameters: Any):
        """Apply the activation to an array of any shape and floating dtype.

        Shape and dtype are kept, unless the activation changes the width. Integers and booleans
        become floats, except in relu, hard_tanh and identity.

        Args:
          x: the input.
          key: for a stochastic activation in training; without it the activation does what it does
            in testing.
          parameters: learned parameters, as from ``parameters``; the initial values otherwise. Also
            values of hyperparameters; those in ``continuous`` may be traced. And arrays that the
            function takes: ``where``, ``value``.

        Raises:
          InputError: an input that is not an array of real numbers, an unknown parameter, or wrong
            facts of your own activation.
        """
        self._verify()
        arguments: dict[str, object] = dict(self.changed)
        if key is None and not parameters:
            return self.spec.function(x, **arguments)
        for place, (name, inner) in enumerate(self.inner.items()):
            learned = parameters.pop(name, {})
            own = None if key is None else jax.random.fold_in(key, place)
            if learned or (own is not None and inner.stochastic):
                arguments[name] = functools.partial(inner, key=own, **learned)
        allowed = (*self.spec.learned, *self.spec.hyperparameters, *self.spec.arrays)
        for name in parameters:
            if name not in allowed:
                raise unknown(f"parameter of {self}", name, allowed)
        if key is not None and self.spec.stochastic:
            arguments["key"] = key
        return self.spec.function(x, **(arguments | parameters))

    def __str__(self) -> str:
        positional = tuple(v for _, v in self.changed if isinstance(v, Activation))
        pairs = tuple((k, v) for k, v in self.changed if not isinstance(v, Activation))
        return str(spec_text.Call(self.spec.name, positional, pairs))  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return f"get({str(self)!r})"

    def _repr_html_(self) -> str:
        """What a notebook shows: graph, formula and facts."""
        # By its name, because it lies above: only this asks for it, and only when it is shown.
        return importlib.import_module("flaxact.gallery.card").card(self)

    @property
    def hyperparameters(self) -> dict[str, Hyperparameter]:
        """All hyperparameters by name, defaults included."""
        defaults = {k: p.default for k, p in self.spec.hyperparameters.items()}
        return defaults | dict(self.changed)

    @property
    def continuous(self) -> tuple[str, ...]:
        """The hyperparameters that may be arrays: floats that are not needed before tracing."""
        spec = self.spec
        return tuple(
            name
            for name, parameter in spec.hyperparameters.items()
            if isinstance(parameter.default, float) and name not in (*spec.static, *spec.learned)
        )

    @property
    def inner(self) -> dict[str, Activation]:
        """The activations inside a transform, by name."""
        return {k: v for k, v in self.changed if isinstance(v, Activation)}

    @property
    def range(self) -> Bounds:
        """The open or closed interval of its values."""
        return self._declared(self.spec.range)

    @property
    def kinks(self) -> tuple[float, ...]:
        """The inputs at which its derivative jumps."""
        return self._declared(self.spec.kinks)

    @property
    def jumps(self) -> tuple[float, ...]:
        """The inputs at which its value jumps."""
        return self._declared(self.spec.jumps)

    @property
    def breaks(self) -> tuple[float, ...]:
        """Kinks and jumps together, in order."""
        return tuple(sorted({*self.kinks, *self.jumps}))

    @property
    def monotonic(self) -> bool:
        """Whether it never decreases."""
        return self._declared(self.spec.monotonic)

    @property
    def smoothness(self) -> float:
        """How many derivatives are continuous: -1 if the value jumps, ``inf`` for a smooth function."""
        if self.jumps:
            return -1
        if self.spec.smoothness is None:
            return 0 if self.kinks else math.inf
        return self._declared(self.spec.smoothness)

    @property
    def stochastic(self) -> bool:
        """Whether it, or an activation inside it, draws random numbers from a key in training."""
        return self.spec.stochastic or any(v.stochastic for v in self.inner.values())

    @property
    def learned(self) -> tuple[str, ...]:
        """The names of its learned parameters; ``activation.alpha`` for one inside a transform."""
        nested = (f"{k}.{name}" for k, v in self.inner.items() for name in v.learned)
        return (*self.spec.learned, *nested)

    def width(self, width: int) -> int:
        """The width of its output for an input of this width."""
        return self._fact(functools.partial(self.spec.width, width)) if self.spec.width else width

    def parameters(self, width: int, key: jax.Array | None = None) -> dict[str, Any]:
        """Its learned parameters at their initial values: a dictionary of keyword arguments for a call.

        Args:
          width: number of channels, the last axis of the inputs.
          key: for activations with random initial weights (``dyrelu``, ``meta_acon``).

        Raises:
          InputError: such an activation without a key.

        >>> from flaxact import get
        >>> get("prelu").parameters(width=3)
        {'negative_slope': Array([0.25, 0.25, 0.25], dtype=float32)}
        """
        facts = self._facts()
        if self.spec.initial:
            own = self.spec.initial(key, width, **facts)
        else:
            shape = (width,) if self.hyperparameters.get("per_channel") else ()
            own = {
                k: jnp.full(shape, cast("float", facts[k]), jnp.float32) for k in self.spec.learned
            }
        inner_width = self.width(width)
        nested = {k: v.parameters(inner_width, key) for k, v in self.inner.items() if v.learned}
        return own | nested

    def _facts(self) -> dict[str, Hyperparameter]:
        return {k: v for k, v in self.hyperparameters.items() if k not in OPTIONS}

    def _declared(self, fact: Fact | Callable[..., Fact]) -> Fact:
        self._verify()
        return self._fact(fact)

    def _verify(self) -> None:
        if self.spec.verify is not None:
            self.spec.verify(self)

    def _fact(self, fact: Fact | Callable[..., Fact]) -> Fact:
        return cast("Fact", fact(**self._facts()) if callable(fact) else fact)
