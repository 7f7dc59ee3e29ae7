"""What is known of an activation (Spec), an activation as a value (Activation), and the catalogue."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from flaxact import _grammar
from flaxact._lazy import jax
from flaxact.errors import InputError, hint, nearest, unknown

Interval = tuple[float, float]
catalogue: dict[str, Spec] = {}  # by name and alias; filled by @activation


@dataclass(frozen=True, eq=False)
class Spec:
    """The facts about an activation, or about a transform of activations.

    ``range``, ``kinks`` and ``monotonic`` are values, or functions of the hyperparameters by name
    where they depend on them. ``kinks`` are the inputs at which the derivative jumps.
    """

    name: str
    function: Callable[..., Any]
    formula: str
    source: str
    range: Interval | Callable[..., Interval]
    kinks: tuple[float, ...] | Callable[..., tuple[float, ...]]
    monotonic: bool | Callable[..., bool]
    aliases: tuple[str, ...]
    positive: tuple[str, ...]
    hyperparameters: Mapping[str, inspect.Parameter]

    @property
    def is_transform(self) -> bool:
        """Whether it takes an activation and gives another."""
        return any(map(takes_activation, self.hyperparameters.values()))

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return (inspect.getdoc(self.function) or "").split("\n")[0]


def takes_activation(parameter: inspect.Parameter) -> bool:
    return parameter.annotation in (Activation, "Activation")


@dataclass(frozen=True)
class Activation:
    """An activation with its hyperparameters: a function of an array, and a value.

    Frozen and hashable; equal to another with the same hyperparameters, so equal ones share one
    trace. ``str`` gives the spec text from which ``get`` makes it again.

    >>> str(get("elu(alpha=0.5)")), get("elu(1.0)") == get("elu")
    ('elu(alpha=0.5)', True)
    """

    spec: Spec
    changed: tuple[tuple[str, Any], ...] = field(default=())

    def __call__(self, x: jax.Array) -> jax.Array:
        """Apply it: any shape, floating dtype; both are kept."""
        return self.spec.function(x, **dict(self.changed))

    def __str__(self) -> str:
        positional = tuple(v for _, v in self.changed if isinstance(v, Activation))
        named = tuple((k, v) for k, v in self.changed if not isinstance(v, Activation))
        return str(_grammar.Call(self.spec.name, positional, named))  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return f"get({str(self)!r})"

    def __reduce__(self):
        return get, (str(self),)

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Every hyperparameter by name, the defaults included."""
        defaults = {k: p.default for k, p in self.spec.hyperparameters.items()}
        return defaults | dict(self.changed)

    @property
    def range(self) -> Interval:
        """The open or closed interval its values fill."""
        return self._fact(self.spec.range)

    @property
    def kinks(self) -> tuple[float, ...]:
        """The inputs at which its derivative jumps."""
        return self._fact(self.spec.kinks)

    @property
    def monotonic(self) -> bool:
        """Whether it never decreases."""
        return self._fact(self.spec.monotonic)

    def _fact(self, fact: Any) -> Any:
        return fact(**self.hyperparameters) if callable(fact) else fact


def check_positive(spec: Spec, given: Mapping[str, Any]) -> None:
    """Raise where a hyperparameter that must be above zero is a number that is not."""
    for name in spec.positive:
        value = given.get(name, 1.0)
        if isinstance(value, bool | int | float) and not value > 0:
            raise InputError(f"{spec.name} needs {name} > 0, not {value}")


def names(kind: Literal["activation", "transform"] = "activation") -> tuple[str, ...]:
    """The names of all activations, or of all transforms, in alphabetical order.

    >>> "relu" in names(), "centered" in names(), "centered" in names("transform")
    (True, False, True)
    """
    wanted = kind == "transform"
    return tuple(sorted({s.name for s in catalogue.values() if s.is_transform == wanted}))


def find(name: str) -> Spec | None:
    """The facts filed under a name or alias, or None."""
    return catalogue.get(name)


def is_transform(name: str) -> bool:
    """Whether a name is that of a transform."""
    return name in catalogue and catalogue[name].is_transform


def get(activation: str | Activation | Callable[..., Any]) -> Activation:
    """The activation that a name, a spec text, a function of flaxact or an ``Activation`` stands for.

    Raises:
      InputError: an unknown name or hyperparameter (with the nearest that is known), a value out of
        its domain, a text that is not a spec, or a function that flaxact does not know.

    >>> get("leaky_relu(0.2)")
    get('leaky_relu(negative_slope=0.2)')
    >>> get("swish")
    get('silu')
    """
    if isinstance(activation, Activation):
        return activation
    if isinstance(activation, str):
        return _from_call(_grammar.parse(activation))
    spec = catalogue.get(getattr(activation, "__name__", ""))
    if spec is not None and spec.function is activation:
        return Activation(spec)
    raise InputError(
        f"{activation!r} is not an activation that flaxact knows; give a name such as 'relu', or "
        "define the function with @flaxact.activation"
    )


def bind(
    activation: str | Activation | Callable[..., Any], /, **hyperparameters: Any
) -> Activation:
    """The activation with these hyperparameters in place of the ones it has.

    Raises:
      InputError: as ``get``.

    >>> bind("elu", alpha=0.5)
    get('elu(alpha=0.5)')
    """
    chosen = get(activation)
    return bind_values(chosen.spec, (), dict(chosen.changed) | hyperparameters)


def _from_call(call: _grammar.Call) -> Activation:
    if call.name not in catalogue:
        raise unknown("activation", call.name, catalogue)

    def value(v: _grammar.Value) -> Any:
        return _from_call(v) if isinstance(v, _grammar.Call) else v

    kwargs = {k: value(v) for k, v in call.kwargs}
    return bind_values(catalogue[call.name], tuple(map(value, call.args)), kwargs)


def bind_values(spec: Spec, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Activation:
    allowed = list(spec.hyperparameters)
    for key in kwargs:
        if key not in allowed:
            raise InputError(
                f"{spec.name} has no hyperparameter {key!r}{hint(nearest(key, allowed))} "
                f"It takes: {', '.join(allowed) or 'none'}"
            )
    if len(args) > len(allowed):
        raise InputError(
            f"{spec.name} takes {len(allowed)} hyperparameters ({', '.join(allowed) or 'none'}), "
            f"not {len(args)}"
        )
    positional = dict(zip(allowed, args, strict=False))
    for key in positional.keys() & kwargs.keys():
        raise InputError(f"{spec.name} is given {key} twice")
    given = positional | dict(kwargs)
    changed = []
    for name, parameter in spec.hyperparameters.items():
        if name not in given and parameter.default is inspect.Parameter.empty:
            raise InputError(f"{spec.name} needs {name}, as in {spec.name}(relu)")
        if name in given:
            value = _checked_value(spec, parameter, given[name])
            if value != parameter.default:
                changed.append((name, value))
    check_positive(spec, dict(changed))
    return Activation(spec, tuple(changed))


def _checked_value(spec: Spec, parameter: inspect.Parameter, value: Any) -> Any:
    if takes_activation(parameter):
        if isinstance(value, bool | int | float):
            raise InputError(f"{spec.name} needs an activation as {parameter.name}, not {value}")
        return get(value)
    kind = type(parameter.default)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not kind or (kind is float and not math.isfinite(value)):
        raise InputError(
            f"{spec.name} needs {_grammar.type_names[kind]} as {parameter.name}, not {value}"
        )
    return value
