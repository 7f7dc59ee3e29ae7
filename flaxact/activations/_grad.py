"""What the backward pass holds on to.

JAX keeps every intermediate that a derivative reads: three arrays for ``jax.nn.elu``. Here a function
states its own derivative, read from its output or its input, and that derivative is computed again in
the backward pass: at most one array is kept, and the output is one that the next layer keeps anyway.
Forward mode, every order and ``vmap`` stay, which a ``custom_vjp`` would lose.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from flaxact._lazy import jax, jnp
from flaxact.activations._numerics import finite
from flaxact.activations._spec import Activation

Function = Callable[..., Any]
Numbers = tuple[tuple[str, Any], ...]
_STATIC = (bool, int, float, tuple, Activation)


def keeps_output(
    slope: Function, *, when: Function = lambda **_: True, exact: Function | None = None
) -> Callable[[Function], Function]:
    """Differentiate by ``slope(y, **hyperparameters)``, the derivative written in the output ``y``.

    ``when(**hyperparameters)`` says where the output tells the derivative; the input is kept for the
    rest. ``exact`` is the derivative written in the input, for a function whose output has rounded
    away what its derivative needs: the function then takes ``exact_derivative=True`` to use it.
    """
    return functools.partial(_lean, output=slope, when=when, exact=exact)


def keeps_input(slope: Function | None = None) -> Callable[[Function], Function]:
    """Differentiate by ``slope(x, **hyperparameters)``, the derivative written in the input ``x``.

    Without one, JAX's own derivative is used, computed again from the input in the backward pass.
    """
    return functools.partial(_lean, input=slope)


def keeps_output_whole(tangent: Function) -> Callable[[Function], Function]:
    """For outputs that depend on more than one input: ``tangent(y, dx, **hyperparameters)``."""
    return functools.partial(_lean, output=tangent, whole=True)


def rounds_once(function: Function) -> Function:
    """Compute in at least float32: a half-precision result is the float32 one, rounded."""

    @functools.wraps(function)
    def call(x: jax.Array, **hyperparameters: Any) -> jax.Array:
        return rounded(function, x, hyperparameters)

    return call


def _lean(
    function: Function,
    *,
    output: Function | None = None,
    input: Function | None = None,
    when: Function = lambda **_: True,
    exact: Function | None = None,
    whole: bool = False,
) -> Function:
    signature = inspect.signature(function)
    build = functools.cache(functools.partial(_build, function, whole))

    @functools.wraps(function)
    def call(x: jax.Array, *args: Any, **kwargs: Any) -> jax.Array:
        from_input = exact is not None and kwargs.pop("exact_derivative", False)
        given = signature.bind(x, *args, **kwargs)
        given.apply_defaults()
        x, *values = given.arguments.values()
        chosen = dict(zip(list(given.arguments)[1:], values, strict=True))
        chosen = {k: v for k, v in chosen.items() if v is not None}
        numbers = {k: v for k, v in chosen.items() if isinstance(v, _STATIC)}
        arrays = {k: v for k, v in chosen.items() if k not in numbers}
        if "key" in arrays or any(map(callable, arrays.values())):
            # What is drawn from the key, and what an inner activation learned, is computed again.
            again = jax.checkpoint(lambda x: rounded(function, x, chosen), prevent_cse=False)
            return again(x)
        if arrays:
            # They may be learned, and may leave the domain in which the slope can be read off the
            # output: JAX's own derivative, from the input, is right for both.
            return build(tuple(numbers.items()), tuple(arrays), None, None)(x, *arrays.values())
        if output is not None and not from_input and when(**numbers):
            return build(tuple(numbers.items()), (), output, True)(x)
        return build(tuple(numbers.items()), (), exact or input, False)(x)

    if exact is not None:
        option = inspect.Parameter(
            "exact_derivative", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=bool
        )
        listed = [*signature.parameters.values(), option]
        call.__signature__ = signature.replace(parameters=listed)  # type: ignore[attr-defined]
    return call


def _build(
    function: Function,
    whole: bool,
    numbers: Numbers,
    names: tuple[str, ...],
    slope: Function | None,
    reads_output: bool,
) -> Function:
    """``lean(x, *arrays)``: the function with these numbers, and arrays by these names."""
    chosen = dict(numbers)

    def plain(x: jax.Array, *arrays: jax.Array) -> jax.Array:
        return rounded(function, x, chosen | dict(zip(names, arrays, strict=True)))

    def tangent(kept: tuple[jax.Array, ...], moved: tuple[jax.Array, ...]) -> jax.Array:
        if slope is None:
            return jax.jvp(plain, kept, moved)[1]
        (x,), (dx,) = kept, moved
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        # Spelt unlike the value's own argument: XLA would else find what the two have in common, and
        # keep that, an array or two, from the forward pass to the backward one.
        wide = wide if reads_output else finite(wide)
        if whole:
            return slope(wide, dx, **chosen).astype(dx.dtype)
        return (slope(wide, **chosen) * dx).astype(dx.dtype)

    @jax.custom_jvp
    def lean(x: jax.Array, *arrays: jax.Array) -> jax.Array:
        return plain(x, *arrays)

    @lean.defjvp
    def _(primals, tangents):
        y = lean(*primals)
        again = jax.checkpoint(tangent, prevent_cse=slope is None)
        return y, again((y,) if reads_output else primals, tangents)

    return jax.jit(lean, inline=True)


def rounded(function: Function, x: jax.Array, chosen: dict[str, Any]) -> jax.Array:
    """``function`` in at least float32, its result in the dtype of ``x``."""
    dtype = jnp.result_type(x)
    if jnp.promote_types(dtype, jnp.float32) != dtype:
        return function(jnp.asarray(x, jnp.float32), **chosen).astype(dtype)
    y = function(x, **chosen)
    return y if y.dtype == dtype else y.astype(dtype)
