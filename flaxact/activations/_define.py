"""The decorator that makes a function an activation."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from numbers import Integral
from typing import Any

from flaxact._lazy import jax, jnp
from flaxact.activations._check import (
    check_axis,
    check_domain,
    check_floating,
    check_learned,
    check_value,
)
from flaxact.activations._get import bind_values
from flaxact.activations._spec import OPTIONS, Activation, Interval, Spec, catalogue
from flaxact.errors import InputError, unknown


def activation(
    formula: str,
    *,
    source: str,
    range: Interval | Callable[..., Interval],
    per_channel: bool | None = None,
    **facts: Any,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    r"""Define an activation: a function of an array, ``f(x, **hyperparameters)``, and its facts.

    It is then known to ``get``, ``names``, the tests, the documentation and the command line. A
    function that takes an ``Activation`` becomes a transform: called with one, it gives another. One
    that takes ``key=None`` is stochastic: with a key it draws, without one it does what it does in
    testing. Other arguments that default to None are arrays which it learns.

    Args:
      formula: LaTeX, in ``x`` and the hyperparameters.
      source: key in ``references.bib`` of the paper that defines it.
      range: the interval that its values fill.
      per_channel: for one that learns its hyperparameters: whether each channel has its own, unless
        ``f(per_channel=...)`` says otherwise.
      **facts: what else is known: see ``Spec``.

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
        signature = _with_option(inspect.signature(function), per_channel)
        parameters = list(signature.parameters.values())[1:]
        hyperparameters = {p.name: p for p in parameters if p.default is not None}

        @functools.wraps(function)
        def checked(*args: Any, **kwargs: Any) -> jax.Array:
            given = _bound(spec, signature, args, kwargs)
            given.pop("per_channel", None)
            return function(**_with_initial(spec, given))

        checked.__signature__ = signature  # type: ignore[attr-defined]
        checked.__doc__ = _docstring(function.__doc__ or "", signature, facts.get("coupled", False))
        spec = Spec(
            name=function.__name__,
            function=checked,
            formula=formula,
            source=source,
            range=range,
            hyperparameters=hyperparameters,
            **facts,
        )
        _register(spec)
        return _factory(spec) if spec.is_transform else checked

    return define


_OPTIONS_SAY = {
    "per_channel": "whether each channel learns its own, or all share one; the value is the same.",
    "exact_derivative": "the derivative from the input, with all its digits, not from the output, of "
    "which the backward pass need keep no copy.",
}


def _docstring(text: str, signature: inspect.Signature, coupled: bool) -> str:
    """A docstring with what is true of all activations, so that no definition need repeat it."""
    body, prompt, examples = inspect.cleandoc(text).partition(">>>")
    body = body.rstrip()
    if "Args:" not in body:
        body += "\n\nArgs:\n  x: the input."
    before, returns, after = body.partition("\n\nReturns:")
    for option in (name for name in OPTIONS if name in signature.parameters):
        before += f"\n  {option}: {_OPTIONS_SAY[option]}"
    body = before + returns + after
    if not coupled:
        body = body.replace("  x: the input", "  x: any shape; floating dtype, kept", 1)
    if "Returns:" not in body:
        kept = "dtype" if coupled else "shape and dtype"
        body += f"\n\nReturns:\n  An array of the same {kept}; nan where ``x`` is."
    body += "\n\nRaises:\n  InputError: not a floating array, or a parameter out of its domain."
    return f"{body}\n\n{prompt}{examples}"


def _with_option(signature: inspect.Signature, per_channel: bool | None) -> inspect.Signature:
    if per_channel is None:
        return signature
    option = inspect.Parameter(
        "per_channel", inspect.Parameter.KEYWORD_ONLY, default=per_channel, annotation=bool
    )
    return signature.replace(parameters=[*signature.parameters.values(), option])


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


def _bound(
    spec: Spec, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """The arguments of a call by name, once they are what the function can take."""
    for name in kwargs:
        if name not in signature.parameters:
            raise unknown(f"parameter of {spec.name}", name, list(signature.parameters)[1:])
    given = signature.bind(*args, **kwargs).arguments
    x = next(iter(given.values()))
    check_floating(spec.name, x)
    for name, value in list(given.items())[1:]:
        if name in spec.learned and name not in spec.hyperparameters:
            if value is not None:
                check_learned(spec, name, given, x)
        elif name in spec.hyperparameters or (name != "key" and value is not None):
            check_value(spec, name, value, x)
            if isinstance(value, Integral) and not isinstance(value, bool):
                given[name] = int(value)  # NumPy's whole numbers are static too
    check_axis(spec, given, x)
    check_domain(spec, given)
    return given


def _with_initial(spec: Spec, given: dict[str, Any]) -> dict[str, Any]:
    """The arguments with the learned arrays that are not given at their initial values."""
    missing = [
        name
        for name in spec.learned
        if name not in spec.hyperparameters and given.get(name) is None
    ]
    if not missing or spec.initial is None:
        return given
    x = next(iter(given.values()))
    width = jnp.shape(x)[-1] if jnp.ndim(x) else 1
    defaults = {k: p.default for k, p in spec.hyperparameters.items()} | given
    chosen = {k: defaults[k] for k in spec.hyperparameters if k not in OPTIONS}
    initial = spec.initial(None, width, **chosen)
    if not jnp.ndim(x):
        initial = {k: v[..., 0] for k, v in initial.items()}
    return given | {name: initial[name] for name in missing}
