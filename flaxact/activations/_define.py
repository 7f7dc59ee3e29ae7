"""The decorator that makes a function an activation."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from flaxact._lazy import jax, jnp
from flaxact._own_code import check_free
from flaxact.activations._check import (
    aligned,
    check_axis,
    check_domain,
    check_key,
    check_learned,
    checked_value,
    real_input,
    unwrapped,
)
from flaxact.activations._describe import check_source
from flaxact.activations._eager import eager
from flaxact.activations._get import bind_values
from flaxact.activations._numerics import Function, Parts
from flaxact.activations._spec import OPTIONS, Activation, Bounds, Spec, catalogue
from flaxact.activations._verify import verify
from flaxact.errors import InputError, unknown


def activation(
    formula: str,
    *,
    source: str,
    range: Bounds | Callable[..., Bounds],
    per_channel: bool | None = None,
    **facts: Any,
) -> Callable[[Function], Callable[..., Any]]:
    r"""Define an activation: a function of an array, ``f(x, **hyperparameters)``, and its facts.

    It is then known to ``get``, ``names``, ``facts.select`` and, with ``flaxact --import my.py``,
    to the command line. At its first use, the declared facts are checked against its values.

    A function with an argument annotated ``Activation`` becomes a transform: called with an
    activation, it returns another. A function with ``key=None`` is stochastic: it draws if it gets
    a key; without one it acts as in testing. Other arguments with the default None are
    learned arrays.

    Args:
      formula: LaTeX, in ``x`` and the hyperparameters.
      source: a key in ``references.bib``, a BibTeX entry, or a text; may be empty.
      range: the interval of the values, or a function of the hyperparameters that returns it.
      per_channel: for learned hyperparameters: whether each channel has its own;
        ``f(per_channel=...)`` overrides it.
      **facts: further attributes of ``flaxact.Spec``, such as ``kinks``, ``monotonic``,
        ``positive`` and ``learned``.

    Raises:
      InputError: a name that is already defined, an unknown fact, or a fact about a hyperparameter
        that the function does not have.

    >>> import math
    >>> import flaxact as fa
    >>> import jax.numpy as jnp
    >>> @fa.activation(
    ...     r"x + \beta \sin x", source="", range=(-math.inf, math.inf),
    ...     monotonic=lambda beta: abs(beta) <= 1, learned=("beta",), per_channel=False,
    ... )
    ... def wavy(x, beta: float = 0.5):
    ...     "A wave along the identity."
    ...     return x + beta * jnp.sin(x)
    >>> fa.get("wavy(beta=2.0)").monotonic, fa.get("wavy").parameters(width=3)
    (False, {'beta': Array(0.5, dtype=float32)})
    """

    def define(function: Function) -> Callable[..., Any]:
        signature = _with_option(inspect.signature(function), per_channel)
        parameters = list(signature.parameters.values())[1:]
        hyperparameters = {p.name: p for p in parameters if p.default is not None}

        @functools.wraps(function)
        def traced(*args: object, **kwargs: object) -> jax.Array:
            arguments = _bound(spec, signature, args, kwargs)
            arguments.pop("per_channel", None)
            arguments = _with_initial(spec, arguments)
            if jax.config.jax_numpy_rank_promotion != "allow":  # type: ignore[attr-defined]
                arguments = aligned(spec, arguments, _input(arguments))
            return function(**arguments)

        traced.__signature__ = signature  # type: ignore[attr-defined]
        traced.__doc__ = _docstring(function.__doc__ or "", signature, facts)
        _check_facts(function.__name__, parameters, formula, source, facts=facts)
        spec = Spec(
            name=function.__name__,
            function=traced,
            formula=formula,
            source=source,
            range=range,
            hyperparameters=hyperparameters,
            verify=None if function.__module__.startswith("flaxact.") else verify,
            **facts,
        )
        checked = eager(spec, signature, traced)
        spec = dataclasses.replace(spec, function=checked)
        _register(spec)
        return _factory(spec) if spec.is_transform else checked

    return define


# What a Spec has from the function and from the arguments of ``activation``.
_GIVEN = ("name", "function", "formula", "source", "range", "hyperparameters", "verify")
_OPTIONS_SAY = {
    "per_channel": "whether each channel learns its own, or all share one; the value is the same.",
    "exact_derivative": "the derivative from the input, with all its digits, as always in float64; not "
    "from the output, of which the backward pass need keep no copy.",
}


def _docstring(text: str, signature: inspect.Signature, facts: Mapping[str, object]) -> str:
    """A docstring with the paragraphs that apply to all activations."""
    coupled = facts.get("coupled", False)
    takes_complex = facts.get("takes_complex", False)
    dtypes = "floating or complex" if takes_complex else "floating"
    numbers = "numbers" if takes_complex else "real numbers"
    body, prompt, examples = inspect.cleandoc(text).partition(">>>")
    body = body.rstrip()
    if "Args:" not in body:
        body += "\n\nArgs:\n  x: the input."
    before, returns, after = body.partition("\n\nReturns:")
    for option in (name for name in OPTIONS if name in signature.parameters):
        before += f"\n  {option}: {_OPTIONS_SAY[option]}"
    body = before + returns + after
    if not coupled:
        x = f"  x: any shape; {dtypes} dtype, kept (whole numbers become floats)"
        body = body.replace("  x: the input", x, 1)
    if "Returns:" not in body:
        what_stays = "dtype" if coupled else "shape and dtype"
        body += f"\n\nReturns:\n  An array of the same {what_stays}; nan where ``x`` is."
    body += f"\n\nRaises:\n  InputError: no array of {numbers}, or a parameter out of its domain."
    return f"{body}\n\n{prompt}{examples}"


def _with_option(signature: inspect.Signature, per_channel: bool | None) -> inspect.Signature:
    if per_channel is None:
        return signature
    option = inspect.Parameter(
        "per_channel", inspect.Parameter.KEYWORD_ONLY, default=per_channel, annotation=bool
    )
    return signature.replace(parameters=[*signature.parameters.values(), option])


def _factory(spec: Spec) -> Callable[..., Activation]:
    """The public function of a transform: from activations and numbers to an ``Activation``."""

    @functools.wraps(spec.function)
    def make(*args: object, **kwargs: object) -> Activation:
        return bind_values(spec, args, kwargs)

    parameters = list(spec.hyperparameters.values())
    make.__signature__ = inspect.Signature(parameters, return_annotation=Activation)  # type: ignore
    return make


def _check_facts(
    name: str,
    parameters: list[inspect.Parameter],
    formula: str,
    source: str,
    facts: dict[str, Any],
) -> None:
    """Raise for an unknown fact, or a fact about an argument that the function does not have."""
    fact_names = [f.name for f in fields(Spec) if f.name not in _GIVEN]
    for fact in facts:
        if fact not in fact_names:
            raise unknown(f"fact of {name}", fact, fact_names)
    for fact, text in (("formula", formula), ("source", source)):
        if not isinstance(text, str):
            raise InputError(f"the {fact} of {name} must be a string, not {text!r}")
    if source:
        check_source(source)
    argument_names = [p.name for p in parameters]
    for fact in ("positive", "above_one", "unit", "ordered", "static", "learned", "aliases"):
        values = facts.get(fact) or ()
        if isinstance(values, str):
            raise InputError(
                f"{fact} of {name} must be a tuple of names, such as ({values!r},), not {values!r}"
            )
        for value in values if fact != "aliases" else ():
            if value not in argument_names:
                raise unknown(f"hyperparameter of {name} in {fact}", value, argument_names)


def _register(spec: Spec) -> None:
    for name in (spec.name, *spec.aliases):
        earlier = catalogue.get(name)
        check_free("activation", name, spec.function, earlier and earlier.function)
    for name in (spec.name, *spec.aliases):
        catalogue[name] = spec


def _bound(
    spec: Spec, signature: inspect.Signature, args: tuple[object, ...], kwargs: dict[str, object]
) -> dict[str, object]:
    """The checked arguments of a call, by name."""
    for name in kwargs:
        if name not in signature.parameters:
            raise unknown(f"parameter of {spec.name}", name, list(signature.parameters)[1:])
    bound = signature.bind(*args, **kwargs).arguments
    arguments = {name: unwrapped(value) for name, value in bound.items()}
    first = next(iter(arguments))
    x = arguments[first] = real_input(spec, arguments[first])
    arguments |= {name: unwrapped(value) for name, value in arguments.items() if name != first}
    for name, value in list(arguments.items())[1:]:
        if name in spec.learned and name not in spec.hyperparameters:
            if value is not None:
                check_learned(spec, name, arguments, x)
        elif isinstance(value, Parts):
            continue
        elif name == "key":
            check_key(spec, value)
        elif name in spec.hyperparameters or value is not None:
            arguments[name] = checked_value(spec, name, value, x)
    check_axis(spec, arguments, x)
    check_domain(spec, arguments)
    return arguments


def _input(arguments: Mapping[str, object]) -> jax.Array:
    x = next(iter(arguments.values()))
    assert isinstance(x, jax.Array)  # by _bound
    return x


def _with_initial(spec: Spec, arguments: dict[str, object]) -> dict[str, object]:
    """The arguments, with initial values for learned arrays that are missing."""
    missing = [
        name
        for name in spec.learned
        if name not in spec.hyperparameters and arguments.get(name) is None
    ]
    if not missing or spec.initial is None:
        return arguments
    x = _input(arguments)
    width = jnp.shape(x)[-1] if jnp.ndim(x) else 1
    defaults = {k: p.default for k, p in spec.hyperparameters.items()} | arguments
    values = {k: defaults[k] for k in spec.hyperparameters if k not in OPTIONS}
    initial = spec.initial(None, width, **values)
    if not jnp.ndim(x):
        initial = {k: v[..., 0] for k, v in initial.items()}
    return arguments | {name: initial[name] for name in missing}
