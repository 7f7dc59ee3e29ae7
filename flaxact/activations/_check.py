"""What a call or a spec text may give an activation, and the words for what it may not."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

from flaxact._lazy import jax, jnp
from flaxact.activations._spec import OPTIONS, Activation, Spec, takes_activation, takes_axes
from flaxact.errors import InputError


def check_domain(spec: Spec, given: Mapping[str, Any]) -> None:
    """Raise where a number is out of its domain. Arrays, which may be traced, are not looked at."""
    numbers: dict[str, Any] = {k: v for k, v in given.items() if isinstance(v, Real)}
    for name in spec.positive:
        if name in numbers and not numbers[name] > 0:
            raise InputError(f"{spec.name} needs {name} > 0, not {numbers[name]}")
    for name in spec.unit:
        if name in numbers and not 0 <= numbers[name] <= 1:
            raise InputError(f"{spec.name} needs {name} from 0 to 1, not {numbers[name]}")
    if spec.ordered:
        low, high = (given.get(k, spec.hyperparameters[k].default) for k in spec.ordered)
        if isinstance(low, Real) and isinstance(high, Real) and low > high:
            names = " <= ".join(spec.ordered)
            raise InputError(f"{spec.name} needs {names}, not {low} and {high}")


def check_floating(name: str, x: Any) -> None:
    """Raise where the input is no floating array."""
    if isinstance(x, float):
        return
    if not hasattr(x, "dtype"):
        raise InputError(
            f"{name} takes an array of floating dtype, not {type(x).__name__} {x!r:.40}"
        )
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise InputError(f"{name} takes an array of floating dtype, not {x.dtype}")


def check_axis(spec: Spec, given: Mapping[str, Any], x: Any) -> None:
    """Raise where the input has not the axis over which its values depend on each other."""
    ndim = jnp.ndim(x)
    axis = given.get("axis", -1)
    if axis is None or not spec.coupled:
        return
    axes = axis if isinstance(axis, tuple) else (axis,)
    for one in axes:
        if not -ndim <= one < ndim:
            raise InputError(f"{spec.name}: the input of shape {jnp.shape(x)} has no axis {one}")


def check_value(spec: Spec, name: str, value: Any, x: Any) -> None:
    """Raise where a hyperparameter in a call is of a kind or shape that it cannot have."""
    parameter = spec.hyperparameters.get(name)
    kind = type(parameter.default) if parameter else None
    if parameter and takes_activation(parameter) and callable(value):
        return
    if parameter and takes_axes(parameter) and (value is None or isinstance(value, tuple)):
        return
    if name in spec.static and not isinstance(value, Real):
        raise InputError(f"{spec.name} needs a number as {name}, not {_shown(value)}")
    if kind is int and (isinstance(value, bool) or not isinstance(value, Integral)):
        raise InputError(f"{spec.name} needs a whole number as {name}, not {_shown(value)}")
    if isinstance(value, Real) and not (kind is float and isinstance(value, bool)):
        return
    if not _is_real_array(value) or (kind is float and _is_mask(value)):
        raise InputError(f"{spec.name} takes a real number or array as {name}, not {_shown(value)}")
    shape, wanted = jnp.shape(value), jnp.shape(x)
    if len(shape) > len(wanted) or any(
        a not in (1, b) for a, b in zip(shape[::-1], wanted[::-1], strict=False)
    ):
        raise InputError(f"{spec.name}: {name} of shape {shape} does not broadcast to {wanted}")


def check_learned(spec: Spec, name: str, given: Mapping[str, Any], x: Any) -> None:
    """Raise where a learned array in a call has not the shape that it starts with.

    In a pointwise activation the channels' axis, its last, may also be 1 or left out.
    """
    value = given[name]
    if not _is_real_array(value):
        raise InputError(f"{spec.name} takes a real array as {name}, not {_shown(value)}")
    width = jnp.shape(x)[-1] if jnp.ndim(x) else 1
    wanted = _initial_shapes(spec, width, _static(spec, given))[name]
    allowed = [wanted]
    if not (spec.coupled or spec.is_transform):
        allowed += [(*wanted[:-1], 1), wanted[:-1]]
    if jnp.shape(value) not in allowed:
        raise InputError(
            f"{spec.name} needs {name} of shape {wanted} for an input of width {width}, "
            f"not {jnp.shape(value)}"
        )


def _static(spec: Spec, given: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """What a shape may depend on: whole numbers and activations; the rest at its default."""
    chosen = []
    for name, parameter in spec.hyperparameters.items():
        value = given.get(name, parameter.default)
        value = getattr(value, "func", value)  # an activation with its key and what it learned
        kept = isinstance(value, int | Activation)
        chosen.append((name, value if kept else parameter.default))
    return tuple(chosen)


@functools.cache
def _initial_shapes(
    spec: Spec, width: int, chosen: tuple[tuple[str, Any], ...]
) -> dict[str, tuple[int, ...]]:
    assert spec.initial
    facts = {k: v for k, v in chosen if k not in OPTIONS}
    initial = functools.partial(spec.initial, width=width, **facts)
    key = jax.eval_shape(lambda: jax.random.key(0))
    return {k: v.shape for k, v in jax.eval_shape(initial, key).items()}


def _is_real_array(value: Any) -> bool:
    dtype = getattr(value, "dtype", None)
    if dtype is None or jnp.issubdtype(dtype, jnp.complexfloating):
        return False
    return jnp.issubdtype(dtype, jnp.number) or _is_mask(value)


def _is_mask(value: Any) -> bool:
    return jnp.issubdtype(value.dtype, jnp.bool_)


def _shown(value: Any) -> str:
    return f"{type(value).__name__} {value!r:.40}"
