"""The backward pass of a learned kink at 0, which keeps one bit per value instead of the input."""

from __future__ import annotations

import functools
from collections.abc import Callable

from flaxact._lazy import jax, jnp
from flaxact.activations._grad import in_jet, in_kernel, keeps_input, rounded
from flaxact.activations._numerics import Function, along_last, widened


def keeps_sign(tangent: Function) -> Callable[[Function], Function]:
    """Differentiate a function of ``x`` and one learned parameter by what a bit a value tells.

    ``tangent(y, above, parameter, dx, dparameter)``, where ``above`` says whether ``x > 0``, and
    ``dparameter`` is None where nothing is differentiated by the parameter. Keeping
    the input, as the derivative by a learned slope asks for, would cost an array a layer more.
    (Scalars, float16, which is short of room for what stands for 0, and arrays whose last axis is
    split over devices keep the input.)
    """

    def decorate(function: Function) -> Function:
        from_input = keeps_input()(function)
        lean = functools.cache(lambda: _lean(function, tangent))

        @functools.wraps(function)
        def call(x: jax.Array, *args: jax.Array | float, **kwargs: jax.Array | float) -> jax.Array:
            if not x.ndim or x.dtype == jnp.float16 or _split(x) or in_jet(x) or in_kernel():
                return from_input(x, *args, **kwargs)
            parameter = (*args, *kwargs.values(), *(function.__defaults__ or ()))[0]
            return lean()(x, jnp.asarray(parameter))

        return call

    return decorate


def _split(x: jax.Array) -> bool:
    """Whether an explicit sharding splits the last axis, along which the bits are packed."""
    return jax.typeof(x).sharding.spec[-1] is not None


def _lean(function: Function, tangent: Function) -> Function:
    def again(
        y: jax.Array, bits: jax.Array, parameter: jax.Array, dx: jax.Array, d: jax.Array | None
    ) -> jax.Array:
        above = _unpacked(bits, y.shape[-1])
        wide = widened(y)
        moved = None if d is None else widened(d)
        return tangent(wide, above, widened(parameter), widened(dx), moved).astype(y.dtype)

    @jax.custom_jvp
    def lean(x: jax.Array, parameter: jax.Array) -> jax.Array:
        return rounded(lambda x: function(x, parameter), x, {})

    @functools.partial(lean.defjvp, symbolic_zeros=True)
    def _(primals, tangents):
        x, parameter = primals
        y = lean(x, parameter)
        bits = _packed(x > 0)
        zero = jax.custom_derivatives.SymbolicZero
        dx = jnp.zeros_like(y) if isinstance(tangents[0], zero) else tangents[0]
        d = None if isinstance(tangents[1], zero) else tangents[1]
        return y, jax.checkpoint(again, prevent_cse=False)(y, bits, parameter, dx, d)

    return jax.jit(lean, inline=True)


def _packed(bits: jax.Array) -> jax.Array:
    """Eight booleans per byte along the last axis; with ``jnp.packbits`` XLA keeps four bytes for one."""
    padded = jnp.pad(bits, [(0, 0)] * (bits.ndim - 1) + [(0, -bits.shape[-1] % 8)])
    shape = (*padded.shape[:-1], padded.shape[-1] // 8, 8)
    eights = padded.reshape(shape).astype(jnp.uint8)
    return (eights << _places(len(shape))).sum(-1, dtype=jnp.uint8)


def _unpacked(packed: jax.Array, count: int) -> jax.Array:
    bits = (packed[..., None] >> _places(packed.ndim + 1)) & jnp.uint8(1)
    shape = (*packed.shape[:-1], 8 * packed.shape[-1])
    return bits.reshape(shape)[..., :count].astype(bool)


def _places(ndim: int) -> jax.Array:
    """0 to 7 along the last axis."""
    return along_last(jnp.arange(8, dtype=jnp.uint8), ndim)
