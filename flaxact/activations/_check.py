"""Checks of an activation's arguments, from calls and from spec texts, with their messages."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Mapping
from numbers import Real
from typing import TypeGuard, cast

from flaxact._lazy import jax, jnp, np
from flaxact.activations._spec import OPTIONS, Activation, Axes, Spec, takes_activation, takes_axes
from flaxact.errors import InputError
from flaxact.spec_text import as_float, checked, plain, value_text


def check_domain(spec: Spec, arguments: Mapping[str, object]) -> None:
    """Raise if a number is out of its domain. Arrays, which may be traced, are not checked."""
    numbers = {k: v for k, v in arguments.items() if isinstance(v, int | float)}
    for limit, names in enumerate((spec.positive, spec.above_one)):
        for name in names:
            if name in numbers and not numbers[name] > limit:
                raise InputError(f"{spec.name} needs {name} > {limit}, not {numbers[name]}")
    for name in spec.unit:
        if name in numbers and not 0 <= numbers[name] <= 1:
            raise InputError(f"{spec.name} needs {name} from 0 to 1, not {numbers[name]}")
    for name, value in numbers.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"{spec.name} needs a number as {name}, not {value}")
    if spec.ordered:
        low, high = (arguments.get(k, spec.hyperparameters[k].default) for k in spec.ordered)
        if isinstance(low, Real) and isinstance(high, Real) and low > high:
            names = " <= ".join(spec.ordered)
            raise InputError(f"{spec.name} needs {names}, not {low} and {high}")


def checked_number(spec: Spec, parameter: inspect.Parameter, value: object) -> bool | int | float:
    """A number in the type of the hyperparameter's default."""
    return checked(f"{spec.name} needs {{}} as {parameter.name}", value, type(parameter.default))


def real_input(spec: Spec, x: object) -> jax.Array:
    """The input as an array of floating dtype, or of integers or complex numbers if it takes them.

    Numbers, NumPy arrays and module variables (``nnx.Param``) become arrays; integers and booleans
    become floats of JAX's default width.
    """
    if not isinstance(x, jax.Array):
        x = _as_array(spec, x)
    if x.aval.memory_space is not jax.memory.Space.Device:
        raise InputError(
            f"{spec.name} needs an array in device memory: move it there with jax.device_put(x, "
            "jax.memory.Space.Device)"
        )
    if jnp.issubdtype(x.dtype, jnp.floating):
        return x
    if jnp.issubdtype(x.dtype, jnp.integer) or _is_mask(x):
        return x if spec.keeps_integers else x.astype(float)
    if spec.takes_complex and jnp.iscomplexobj(x):
        return x
    raise InputError(f"{spec.name} takes an array of {_numbers(spec)}, not of {x.dtype}")


def _as_array(spec: Spec, x: object) -> jax.Array:
    try:
        if isinstance(x, bool | int) and not spec.keeps_integers:
            x = float(x)
        is_complex = isinstance(x, complex) and spec.takes_complex
        if is_complex or isinstance(x, jax.Array | np.ndarray | np.generic | bool | int | float):
            return jnp.asarray(x)  # of weak type where it is a Python number
    except (TypeError, OverflowError):  # a dtype, or a size, that JAX does not have
        pass
    raise InputError(f"{spec.name} takes an array of {_numbers(spec)}, not {_short_text(x)}")


def _numbers(spec: Spec) -> str:
    return "real or complex numbers" if spec.takes_complex else "real numbers"


def unwrapped(value: object) -> object:
    """The value of a module's variable; anything else unchanged."""
    if isinstance(value, jax.Array):
        return value
    hook = getattr(value, "__jax_array__", None)
    return hook() if hook else value


def check_axis(spec: Spec, arguments: Mapping[str, object], x: jax.Array) -> None:
    """Raise if the input lacks the axis over which the activation works."""
    ndim = jnp.ndim(x)
    axis = cast("Axes", arguments.get("axis", -1))
    if axis is None or not spec.coupled:
        return
    axes = axis if isinstance(axis, tuple) else (axis,)
    for position in axes:
        if not -ndim <= position < ndim:
            raise InputError(
                f"{spec.name}: the input of shape {jnp.shape(x)} has no axis {position}"
            )


def checked_value(spec: Spec, name: str, value: object, x: jax.Array) -> object:
    """An argument of a call, with numbers in the type of their default.

    Raises:
      InputError: a type or shape that the argument cannot have.
    """
    parameter = spec.hyperparameters.get(name)
    value = plain(value)
    kind = type(parameter.default) if parameter else None
    if parameter and takes_activation(parameter) and callable(value):
        return value
    if parameter and takes_axes(parameter) and (value is None or isinstance(value, tuple)):
        return value if value is None else tuple(map(plain, value))
    if parameter and (kind in (bool, int) or name in spec.static):
        return checked_number(spec, parameter, value)
    if isinstance(value, bool | int | float) and not (kind is float and isinstance(value, bool)):
        return as_float(value) if kind is float else value
    if not _is_real_array(value) or (kind is float and _is_mask(value)):
        raise InputError(
            f"{spec.name} takes a real number or array as {name}, not {_short_text(value)}"
        )
    shape = jnp.shape(value)
    input_shape = jnp.shape(x)
    if len(shape) > len(input_shape) or any(
        a not in (1, b) for a, b in zip(shape[::-1], input_shape[::-1], strict=False)
    ):
        raise InputError(
            f"{spec.name}: {name} of shape {shape} does not broadcast to {input_shape}"
        )
    return value


def aligned(spec: Spec, arguments: Mapping[str, object], x: jax.Array) -> dict[str, object]:
    """The arguments, with arrays expanded to the input's number of axes, so that no rank is promoted."""
    expanded = dict(arguments)
    for name, value in list(arguments.items())[1:]:
        if not isinstance(value, jax.Array | np.ndarray) or not value.shape or name == "key":
            continue
        shape = value.shape
        if name not in spec.learned or name in spec.hyperparameters:
            expanded[name] = jnp.reshape(value, (1,) * (x.ndim - len(shape)) + shape)
        elif not (spec.coupled or spec.is_transform) and x.ndim:
            # The channels are the last axis, and what is before it is counted off.
            shape = (*shape[:-1], *(1,) * (x.ndim - 1), shape[-1])
            expanded[name] = jnp.reshape(value, shape)
    return expanded


def check_key(spec: Spec, key: object) -> None:
    """Raise if the ``key`` of a random activation is neither None nor a key."""
    dtype = getattr(key, "dtype", None)
    if key is None or (dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)):
        return
    if dtype is None or dtype != jnp.uint32 or getattr(key, "ndim", 0) != 1:
        raise InputError(
            f"{spec.name} needs a JAX random key, such as jax.random.key(0), not {_short_text(key)}"
        )


def check_learned(spec: Spec, name: str, arguments: Mapping[str, object], x: jax.Array) -> None:
    """Raise if a learned array in a call has another shape than its initial value.

    In a pointwise activation the last axis, the channels, may also be 1 or missing.
    """
    value = arguments[name]
    if not _is_real_array(value):
        raise InputError(f"{spec.name} takes a real array as {name}, not {_short_text(value)}")
    width = jnp.shape(x)[-1] if jnp.ndim(x) else 1
    initial_shape = _initial_shapes(spec, width, _static(spec, arguments))[name]
    allowed = [initial_shape]
    if not (spec.coupled or spec.is_transform):
        allowed += [(*initial_shape[:-1], 1), initial_shape[:-1]]
    if jnp.shape(value) not in allowed:
        raise InputError(
            f"{spec.name} needs {name} of shape {initial_shape} for an input of width {width}, "
            f"not {jnp.shape(value)}"
        )


def _static(spec: Spec, arguments: Mapping[str, object]) -> tuple[tuple[str, object], ...]:
    """The arguments that a shape may depend on (integers, activations); the others at their defaults."""
    pairs = []
    for name, parameter in spec.hyperparameters.items():
        value = arguments.get(name, parameter.default)
        value = getattr(value, "func", value)  # an activation with its key and what it learned
        is_static = isinstance(value, int | Activation)
        pairs.append((name, value if is_static else parameter.default))
    return tuple(pairs)


@functools.lru_cache(256)
def _initial_shapes(
    spec: Spec, width: int, pairs: tuple[tuple[str, object], ...]
) -> dict[str, tuple[int, ...]]:
    assert spec.initial
    facts = {k: v for k, v in pairs if k not in OPTIONS}
    initial = functools.partial(spec.initial, width=width, **facts)
    key = jax.eval_shape(lambda: jax.random.key(0))
    return {k: v.shape for k, v in jax.eval_shape(initial, key).items()}


def _is_real_array(value: object) -> TypeGuard[jax.Array | np.ndarray]:
    dtype = getattr(value, "dtype", None)
    if dtype is None or jnp.issubdtype(dtype, jnp.complexfloating):
        return False
    return jnp.issubdtype(dtype, jnp.number) or jnp.issubdtype(dtype, jnp.bool_)


def _is_mask(value: jax.Array | np.ndarray) -> bool:
    return jnp.issubdtype(value.dtype, jnp.bool_)


def _short_text(value: object) -> str:
    text = value_text(value) if isinstance(value, int) else repr(value)
    return f"{type(value).__name__} {text:.40}"


def check_divisible(name: str, x: jax.Array, axis: int, parts: int) -> None:
    """Raise where an axis cannot be cut into so many equal parts."""
    if parts < 1 or x.shape[axis] % parts:
        raise InputError(
            f"{name} needs a width that {parts} divides, not {x.shape[axis]} (axis {axis} of "
            f"{x.shape})"
        )


def halves(name: str, x: jax.Array, axis: int) -> tuple[jax.Array, jax.Array]:
    """The two halves of an axis, whose width must be even."""
    check_divisible(name, x, axis, 2)
    first, second = jnp.split(x, 2, axis)
    return first, second
