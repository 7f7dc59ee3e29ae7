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
from typing import Any, Literal

from flaxact._lazy import jax, jnp

Function = Callable[..., Any]


def keeps_output(
    slope: Function, *, when: Function = lambda **_: True
) -> Callable[[Function], Function]:
    """Differentiate by ``slope(y, **hyperparameters)``, the derivative written in the output ``y``.

    ``when(**hyperparameters)`` says where the output tells the derivative; plain differentiation
    serves the rest.
    """
    return functools.partial(_lean, slope=slope, keeps="output", when=when)


def keeps_input(slope: Function) -> Callable[[Function], Function]:
    """Differentiate by ``slope(x, **hyperparameters)``, the derivative written in the input ``x``."""
    return functools.partial(_lean, slope=slope, keeps="input", when=lambda **_: True)


def rounds_once(function: Function) -> Function:
    """Compute in at least float32: a half-precision result is the float32 one, rounded."""

    @functools.wraps(function)
    def call(x: jax.Array, **hyperparameters: Any) -> jax.Array:
        return _rounded(function, x, hyperparameters)

    return call


def _lean(
    function: Function, *, slope: Function, keeps: Literal["output", "input"], when: Function
) -> Function:
    signature = inspect.signature(function)

    @functools.cache
    def build(hyperparameters: tuple[tuple[str, Any], ...]) -> Function:
        chosen = dict(hyperparameters)

        def tangent(kept: jax.Array, dx: jax.Array) -> jax.Array:
            wide = jnp.promote_types(kept.dtype, jnp.float32)
            return (slope(kept.astype(wide), **chosen) * dx).astype(dx.dtype)

        @jax.custom_jvp
        def lean(x: jax.Array) -> jax.Array:
            return _rounded(function, x, chosen)

        @lean.defjvp
        def _(primals, tangents):
            (x,), (dx,) = primals, tangents
            y = lean(x)
            # Nothing in the forward pass shares work with the slope, so no barrier is needed.
            again = jax.checkpoint(tangent, prevent_cse=False)
            return y, again(y if keeps == "output" else x, dx)

        return jax.jit(lean, inline=True)

    @functools.wraps(function)
    def call(x: jax.Array, *args, **kwargs) -> jax.Array:
        given = signature.bind(x, *args, **kwargs)
        given.apply_defaults()
        x, *values = given.arguments.values()
        chosen = dict(zip(list(given.arguments)[1:], values, strict=True))
        if all(isinstance(value, bool | int | float) for value in values) and when(**chosen):
            return build(tuple(chosen.items()))(x)
        # A hyperparameter that is an array may be learned, and may leave the domain in which the
        # slope can be read off the output: plain differentiation is right for both.
        return _rounded(function, x, chosen)

    return call


def _rounded(function: Function, x: jax.Array, chosen: dict[str, Any]) -> jax.Array:
    """``function`` in at least float32, its result in the dtype of ``x``."""
    dtype = jnp.result_type(x)
    if jnp.promote_types(dtype, jnp.float32) != dtype:
        return function(jnp.asarray(x, jnp.float32), **chosen).astype(dtype)
    y = function(x, **chosen)
    return y if y.dtype == dtype else y.astype(dtype)
