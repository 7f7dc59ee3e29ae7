"""What the backward pass holds on to.

JAX keeps every intermediate that a derivative reads: three arrays for ``jax.nn.elu``. Here a function
states its own derivative, read from its output or its input, and that derivative is computed again in
the backward pass: at most one array is kept, and the output is one that the next layer keeps anyway.
Forward mode, every order and ``vmap`` stay, which a ``custom_vjp`` would lose.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any

from flaxact._lazy import jax, jnp, np
from flaxact.activations._numerics import Function, Parts, finite, widened
from flaxact.activations._spec import Activation

Numbers = tuple[tuple[str, Any], ...]
_PROGRAMS = 256  # kept of a function, one for each choice of numbers
_STATIC = (bool, int, float, tuple, Activation)


def keeps_output(
    slope: Function,
    *,
    when: Function = lambda **_: True,
    exact: Function | None = None,
    narrow: Function | None = None,
    arrays: Function | None = None,
) -> Callable[[Function], Function]:
    """Differentiate by ``slope(y, **hyperparameters)``, the derivative written in the output ``y``.

    ``when(**hyperparameters)`` says where the output tells the derivative; the input is kept for the
    rest. ``exact`` is the derivative written in the input, for a function whose output has rounded
    away what its derivative needs: the function then takes ``exact_derivative=True`` to use it.
    ``narrow`` is that too, for a function whose output overflows in float16 and float8 where its
    derivative does not: it is used in those. ``arrays`` is that too, for hyperparameters that are
    arrays, where there is no ``exact`` and JAX's own derivative is not the same.
    """
    return functools.partial(
        _lean, output=slope, when=when, exact=exact, narrow=narrow, learned=arrays
    )


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
    narrow: Function | None = None,
    learned: Function | None = None,
    whole: bool = False,
) -> Function:
    signature = inspect.signature(function)
    build = functools.lru_cache(_PROGRAMS)(functools.partial(_build, function))
    with_arrays = functools.lru_cache(_PROGRAMS)(
        functools.partial(_build_with_arrays, function, exact or input or learned)
    )
    from_output = output if whole else _product(output)
    from_input = _product(exact or input)
    from_narrow = _product(narrow)

    @functools.wraps(function)
    def call(x: jax.Array, *args: Any, **kwargs: Any) -> jax.Array:
        exactly = exact is not None and kwargs.pop("exact_derivative", False)
        given = signature.bind(x, *args, **kwargs)
        given.apply_defaults()
        x, *values = given.arguments.values()
        chosen = dict(zip(list(given.arguments)[1:], values, strict=True))
        chosen = {k: v for k, v in chosen.items() if v is not None}
        numbers = {k: v for k, v in chosen.items() if _is_static(v)}
        arrays = {k: v for k, v in chosen.items() if k not in numbers}
        if in_jet(x):
            return rounded(function, x, chosen)
        if "key" in arrays or any(map(callable, arrays.values())):
            # What is drawn from the key, and what an inner activation learned, is computed again.
            again = recomputed(lambda x: rounded(function, x, chosen), in_kernel())
            return again(x)
        fixed = in_kernel(), tuple(numbers.items())
        if arrays:
            # They may be learned, and may leave the domain in which the slope can be read off the
            # output: a derivative written in the input is right for both.
            return with_arrays(*fixed, tuple(arrays))(x, *arrays.values())
        if from_narrow is not None and jnp.finfo(x.dtype).maxexp < 100:
            return build(*fixed, from_narrow, False)(x)
        if from_output is not None and not exactly and when(**numbers):
            return build(*fixed, from_output, True)(x)
        return build(*fixed, from_input, False)(x)

    if exact is not None:
        option = inspect.Parameter(
            "exact_derivative", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=bool
        )
        listed = [*signature.parameters.values(), option]
        call.__signature__ = signature.replace(parameters=listed)  # type: ignore[attr-defined]
    return call


def _is_static(value: Any) -> bool:
    return isinstance(value, _STATIC) and not isinstance(value, Parts)


def _product(slope: Function | None) -> Function | None:
    """The tangent of a function whose outputs each depend on the input at their place."""
    return slope and (lambda x, dx, **numbers: slope(x, **numbers) * dx)


def _build(
    function: Function,
    kernel: bool,
    numbers: Numbers,
    derivative: Function | None,
    reads_output: bool,
) -> Function:
    """``lean(x)``: the function with these numbers."""
    chosen = dict(numbers)

    def plain(x: jax.Array) -> jax.Array:
        return rounded(function, x, chosen)

    def tangent(kept: jax.Array, dx: jax.Array) -> jax.Array:
        if derivative is None:
            return jax.jvp(plain, (kept,), (dx,))[1]
        wide = widened(kept)
        # Spelt unlike the value's own argument: XLA would else find what the two have in common, and
        # keep that, an array or two, from the forward pass to the backward one.
        wide = wide if reads_output else finite(wide)
        known = _as_rounded(chosen, kept.dtype) if reads_output else chosen
        return derivative(wide, widened(dx), **known).astype(dx.dtype)

    @jax.custom_jvp
    def lean(x: jax.Array) -> jax.Array:
        return plain(x)

    @lean.defjvp
    def _(primals, tangents):
        y = plain(*primals) if kernel else lean(*primals)
        again = recomputed(tangent, kernel, prevent_cse=derivative is None)
        return y, again(y if reads_output else primals[0], *tangents)

    return jax.jit(lean, inline=True)


def _build_with_arrays(
    function: Function,
    slope: Function | None,
    kernel: bool,
    numbers: Numbers,
    names: tuple[str, ...],
) -> Function:
    """``lean(x, *arrays)``: the function with these numbers, and arrays by these names.

    Its derivative by ``x`` is ``slope(x, ...)``, as with numbers; that by the arrays is JAX's own.
    """
    fixed = dict(numbers)

    def chosen(arrays: Sequence[jax.Array]) -> dict[str, Any]:
        return fixed | dict(zip(names, arrays, strict=True))

    def plain(x: jax.Array, *arrays: jax.Array) -> jax.Array:
        return rounded(function, x, chosen(arrays))

    def tangent(primals: tuple[jax.Array, ...], moved: dict[int, jax.Array]) -> jax.Array:
        dtype = primals[0].dtype
        # Infinity times a derivative that is 0 would be nan.
        x, *arrays = finite(widened(primals[0])), *primals[1:]
        total: Any = 0
        if slope is not None and 0 in moved:
            total = slope(x, **chosen(arrays)) * widened(moved[0])
            moved = {place: dx for place, dx in moved.items() if place}
        if moved:

            def of_moved(*values: jax.Array) -> jax.Array:
                given = dict(enumerate((x, *arrays))) | dict(zip(moved, values, strict=True))
                return function(given.pop(0), **chosen(list(given.values())))

            at = tuple((x, *arrays)[place] for place in moved)
            along = tuple(dx.astype(v.dtype) for v, dx in zip(at, moved.values(), strict=True))
            total = total + jax.jvp(of_moved, at, along)[1]
        return total.astype(dtype)

    @jax.custom_jvp
    def lean(x: jax.Array, *arrays: jax.Array) -> jax.Array:
        return plain(x, *arrays)

    @functools.partial(lean.defjvp, symbolic_zeros=True)
    def _(primals, tangents):
        y = plain(*primals) if kernel else lean(*primals)
        moved = {i: dx for i, dx in enumerate(tangents) if not _is_zero(dx)}
        if not moved:
            return y, jnp.zeros_like(y)
        return y, recomputed(tangent, kernel, prevent_cse=True)(primals, moved)

    return jax.jit(lean, inline=True)


def _is_zero(tangent: Any) -> bool:
    """Whether nothing is differentiated by it: a ``SymbolicZero``, or ``Parts`` of those."""
    zero = jax.custom_derivatives.SymbolicZero
    return all(isinstance(leaf, zero) for leaf in jax.tree.leaves(tangent))


def _as_rounded(numbers: dict[str, Any], dtype: Any) -> dict[str, Any]:
    """Numbers as an output of that dtype has them, so that one that has reached a limit equals it."""
    if jnp.finfo(dtype).bits >= 32:
        return numbers
    floats = {k: v for k, v in numbers.items() if type(v) is float}
    return numbers | {k: float(np.asarray(v, dtype)) or v for k, v in floats.items()}


def in_kernel() -> bool:
    """Whether a Pallas kernel is being traced.

    JAX has no public way to ask. Where this one is gone, what follows is that TPU kernels cannot take
    a derivative (tests/test_modes.py says so).
    """
    pallas = sys.modules.get("jax._src.pallas.core")
    tracing = getattr(pallas, "_pallas_tracing_env", None)
    return getattr(tracing, "grid_context", None) is not None


def in_jet(x: jax.Array) -> bool:
    """Whether ``jax.experimental.jet`` traces it, which takes no custom derivative."""
    return type(x).__name__ == "JetTracer"


def recomputed(function: Function, kernel: bool, prevent_cse: bool = False) -> Function:
    """``function``, computed again in the backward pass from its arguments, which alone are kept.

    Within a Pallas kernel as it is: nothing is kept there, and TPU kernels know no ``jax.checkpoint``
    (nor GPU kernels ``jax.custom_jvp``, as which the value is therefore not computed there).
    """
    return function if kernel else jax.checkpoint(function, prevent_cse=prevent_cse)


def rounded(function: Function, x: jax.Array, chosen: dict[str, Any]) -> jax.Array:
    """``function`` in at least float32, its result in the dtype of ``x``."""
    dtype = x.dtype
    if not jnp.issubdtype(dtype, jnp.floating):
        return function(x, **chosen)
    if jnp.finfo(dtype).bits < 32:
        return function(widened(x), **chosen).astype(dtype)
    y = function(x, **chosen)
    return y if y.dtype == dtype else y.astype(dtype)
