"""The decorator that makes a function an activation."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from flaxact._lazy import jax, jnp
from flaxact.activations._spec import (
    Activation,
    Interval,
    Spec,
    bind_values,
    catalogue,
    check_positive,
)
from flaxact.errors import InputError


def activation(
    formula: str,
    *,
    source: str,
    range: Interval | Callable[..., Interval],  # noqa: A002 (the word of the field)
    kinks: tuple[float, ...] | Callable[..., tuple[float, ...]] = (),
    monotonic: bool | Callable[..., bool] = True,
    aliases: tuple[str, ...] = (),
    positive: tuple[str, ...] = (),
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    r"""Define an activation: a function of an array, ``f(x, **hyperparameters)``, and its facts.

    It is then known to ``get``, ``names``, the tests, the documentation and the command line. A
    function that takes an ``Activation`` becomes a transform: called with one, it gives another.

    Args:
      formula: LaTeX, in ``x`` and the hyperparameters.
      source: key in ``references.bib`` of the paper that defines it.
      range: the interval that its values fill.
      kinks: inputs at which the derivative jumps.
      monotonic: whether it never decreases.
      aliases: other names that ``get`` takes.
      positive: hyperparameters that must be above zero.

    Raises:
      InputError: another definition has the name already.

    >>> import math, flaxact
    >>> @flaxact.activation(r"x^3", source="", range=(-math.inf, math.inf))
    ... def cube(x):
    ...     "The cube."
    ...     return x**3
    >>> float(flaxact.get("cube")(2.0))
    8.0
    >>> _ = catalogue.pop("cube")
    """

    def define(function: Callable[..., Any]) -> Callable[..., Any]:
        hyperparameters = dict(list(inspect.signature(function).parameters.items())[1:])
        name = function.__name__

        @functools.wraps(function)
        def checked(x: jax.Array, *args: Any, **kwargs: Any) -> jax.Array:
            _check_floating(name, x)
            if positive:
                check_positive(spec, dict(zip(hyperparameters, args, strict=False)) | kwargs)
            return function(x, *args, **kwargs)

        spec = Spec(
            name, checked, formula, source, range, kinks, monotonic, aliases, positive,
            hyperparameters,
        )  # fmt: skip
        _register(spec)
        return _factory(spec) if spec.is_transform else checked

    return define


def _factory(spec: Spec) -> Callable[..., Activation]:
    """The public face of a transform: activations and numbers in, an ``Activation`` out."""

    @functools.wraps(spec.function)
    def make(*args: Any, **kwargs: Any) -> Activation:
        return bind_values(spec, args, kwargs)

    parameters = list(spec.hyperparameters.values())
    make.__signature__ = inspect.Signature(parameters, return_annotation=Activation)  # type: ignore
    return make


def _register(spec: Spec) -> None:
    for name in (spec.name, *spec.aliases):
        other = catalogue.get(name)
        if other and _origin(other) != _origin(spec):
            raise InputError(f"activation {name!r} is defined already, in {_origin(other)[0]}")
    for name in (spec.name, *spec.aliases):
        catalogue[name] = spec


def _origin(spec: Spec) -> tuple[str, str]:
    return spec.function.__module__, spec.function.__qualname__


def _check_floating(name: str, x: Any) -> None:
    if isinstance(x, float):
        return
    if not hasattr(x, "dtype"):
        raise InputError(
            f"{name} takes an array of floating dtype, not {type(x).__name__} {x!r:.40}"
        )
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise InputError(f"{name} takes an array of floating dtype, not {x.dtype}")
