"""Derivatives that keep at most one array for the backward pass.

JAX keeps every intermediate that a derivative reads: three arrays for ``jax.nn.elu``. Here a
function states its own derivative in terms of its output or its input, and the derivative is
recomputed in the backward pass. So at most one array is kept, and if it is the output, the next
layer keeps it anyway. Forward mode, every order and ``vmap`` keep working, which a ``custom_vjp``
would break.
"""

from __future__ import annotations

import functools
import inspect
import operator
import sys
from collections.abc import Callable, Sequence

from flaxact._lazy import jax, jnp, np
from flaxact.activations._numerics import Function, Parts, finite, widened
from flaxact.activations._spec import Activation

Numbers = tuple[tuple[str, object], ...]
_PROGRAMS = 256  # kept of a function, one for each choice of numbers
_STATIC = (bool, int, float, tuple, Activation)


def keeps_output(
    slope: Function,
    *,
    when: Callable[..., bool] = lambda **_: True,
    exact: Function | None = None,
    narrow: Function | None = None,
    arrays: Function | None = None,
) -> Callable[[Function], Function]:
    """Differentiate by ``slope(y, **hyperparameters)``, the derivative in terms of the output ``y``.

    ``when(**hyperparameters)`` says whether the output determines the derivative; if not, the input
    is kept. Each of the following is the derivative in terms of the input, for a special case:

    - ``exact``, if rounding removes from the output what the derivative needs: it is used in float64,
      and in other dtypes with ``exact_derivative=True``.
    - ``narrow``, if the output overflows in float16 and float8 and the derivative does not: it is
      used for these dtypes.
    - ``arrays``, for hyperparameters that are arrays, if there is no ``exact`` and JAX's own
      derivative differs.
    """
    return functools.partial(
        _lean, output=slope, when=when, exact=exact, narrow=narrow, learned=arrays
    )


def keeps_input(slope: Function | None = None) -> Callable[[Function], Function]:
    """Differentiate by ``slope(x, **hyperparameters)``, the derivative in terms of the input ``x``.

    Without ``slope``, JAX's own derivative is recomputed from the input in the backward pass.
    """
    return functools.partial(_lean, input=slope)


def keeps_output_whole(tangent: Function) -> Callable[[Function], Function]:
    """For outputs that depend on more than one input: ``tangent(y, dx, **hyperparameters)``."""
    return functools.partial(_lean, output=tangent, whole=True)


def rounds_once(function: Function) -> Function:
    """Compute in at least float32, so that a half-precision result is the rounded float32 result."""

    @functools.wraps(function)
    def call(x: jax.Array, **hyperparameters: object) -> jax.Array:
        return rounded(function, x, hyperparameters)

    return call


def _lean(
    function: Function,
    *,
    output: Function | None = None,
    input: Function | None = None,
    when: Callable[..., bool] = lambda **_: True,
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
    def call(x: jax.Array, *args: object, **kwargs: object) -> jax.Array:
        exactly = exact is not None and kwargs.pop("exact_derivative", False)
        exactly = exactly or (exact is not None and x.dtype == np.float64)
        call_arguments = signature.bind(x, *args, **kwargs)
        call_arguments.apply_defaults()
        x, *values = call_arguments.arguments.values()
        hyperparameters = dict(zip(list(call_arguments.arguments)[1:], values, strict=True))
        hyperparameters = {k: v for k, v in hyperparameters.items() if v is not None}
        numbers = {k: v for k, v in hyperparameters.items() if _is_static(v)}
        arrays = {k: v for k, v in hyperparameters.items() if k not in numbers}
        if in_jet(x):
            return rounded(function, x, hyperparameters)
        if "key" in arrays or any(map(callable, arrays.values())):
            # What is drawn from the key, and what an inner activation learned, is computed again.
            again = recomputed(lambda x: rounded(function, x, hyperparameters), in_kernel())
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


def _is_static(value: object) -> bool:
    return isinstance(value, _STATIC) and not isinstance(value, Parts)


def _product(slope: Function | None) -> Function | None:
    """The tangent of a pointwise function."""
    return slope and (lambda x, dx, **numbers: slope(x, **numbers) * dx)


def _build(
    function: Function,
    kernel: bool,
    numbers: Numbers,
    derivative: Function | None,
    reads_output: bool,
) -> Function:
    """The function with these numbers, and its derivative rule, as a function of ``x``."""
    hyperparameters = dict(numbers)

    def plain(x: jax.Array) -> jax.Array:
        return rounded(function, x, hyperparameters)

    def tangent(residual: jax.Array, dx: jax.Array) -> jax.Array:
        if derivative is None:
            return jax.jvp(plain, (residual,), (dx,))[1]
        wide = widened(residual)
        # Spelt unlike the value's own argument: XLA would else find what the two have in common, and
        # keep that, an array or two, from the forward pass to the backward one.
        wide = wide if reads_output else finite(wide)
        values = _as_rounded(hyperparameters, residual.dtype) if reads_output else hyperparameters
        return derivative(wide, widened(dx), **values).astype(dx.dtype)

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
    """``f(x, *arrays)``: the function with these numbers, and arrays by these names.

    Its derivative with respect to ``x`` is ``slope(x, ...)``, as with numbers; those with respect
    to the arrays are JAX's own.
    """
    fixed = dict(numbers)

    def with_arrays(arrays: Sequence[jax.Array]) -> dict[str, object]:
        return fixed | dict(zip(names, arrays, strict=True))

    def plain(x: jax.Array, *arrays: jax.Array) -> jax.Array:
        return rounded(function, x, with_arrays(arrays))

    def tangent(primals: tuple[jax.Array, ...], moved: dict[int, jax.Array]) -> jax.Array:
        dtype = primals[0].dtype
        # Infinity times a derivative that is 0 would be nan.
        x, *arrays = finite(widened(primals[0])), *primals[1:]
        terms = []
        if slope is not None and 0 in moved:
            terms.append(slope(x, **with_arrays(arrays)) * widened(moved[0]))
            moved = {place: dx for place, dx in moved.items() if place}
        if moved:

            def of_moved(*values: jax.Array) -> jax.Array:
                by_place = dict(enumerate((x, *arrays))) | dict(zip(moved, values, strict=True))
                return function(by_place.pop(0), **with_arrays(list(by_place.values())))

            at = tuple((x, *arrays)[place] for place in moved)
            along = tuple(dx.astype(v.dtype) for v, dx in zip(at, moved.values(), strict=True))
            terms.append(jax.jvp(of_moved, at, along)[1])
        return functools.reduce(operator.add, terms).astype(dtype)

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


def _is_zero(tangent: object) -> bool:
    """Whether a tangent is zero: a ``SymbolicZero``, or ``Parts`` of those."""
    zero = jax.custom_derivatives.SymbolicZero
    return all(isinstance(leaf, zero) for leaf in jax.tree.leaves(tangent))


def _as_rounded(numbers: dict[str, object], dtype: np.dtype) -> dict[str, object]:
    """Numbers rounded to the output's dtype, so that an output at a limit equals it."""
    if jnp.finfo(dtype).bits >= 32:
        return numbers
    floats = {k: v for k, v in numbers.items() if type(v) is float}
    return numbers | {k: float(np.asarray(v, dtype)) or v for k, v in floats.items()}


def in_kernel() -> bool:
    """Whether a Pallas kernel is being traced.

    JAX has no public way to ask. If this internal one disappears, TPU kernels can no longer take a
    derivative (tests/test_modes.py will fail).
    """
    pallas = sys.modules.get("jax._src.pallas.core")
    tracing = getattr(pallas, "_pallas_tracing_env", None)
    return getattr(tracing, "grid_context", None) is not None


def in_jet(x: jax.Array) -> bool:
    """Whether ``jax.experimental.jet``, which ignores custom derivatives, is tracing the input."""
    return type(x).__name__ == "JetTracer"


def recomputed(function: Function, kernel: bool, prevent_cse: bool = False) -> Function:
    """``function``, recomputed in the backward pass from its arguments, which alone are kept.

    Within a Pallas kernel it is called directly: nothing is kept there, TPU kernels don't support
    ``jax.checkpoint``, and GPU kernels don't support ``jax.custom_jvp``.
    """
    return function if kernel else jax.checkpoint(function, prevent_cse=prevent_cse)


def rounded(function: Function, x: jax.Array, hyperparameters: dict[str, object]) -> jax.Array:
    """``function`` computed in at least float32, with the result in the dtype of ``x``."""
    dtype = x.dtype
    if not jnp.issubdtype(dtype, jnp.floating):
        return function(x, **hyperparameters)
    if jnp.finfo(dtype).bits < 32:
        return function(widened(x), **hyperparameters).astype(dtype)
    y = function(x, **hyperparameters)
    return y if y.dtype == dtype else y.astype(dtype)
