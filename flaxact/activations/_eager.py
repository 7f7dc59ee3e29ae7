"""Calls outside of any program: one compiled program per activation, for all values of its numbers.

A call with a concrete array is compiled with ``jax.jit`` as a whole. Its checks run when it is
traced, once per shape and dtype. Numbers other than the defaults are arguments of the program, so a
new value compiles nothing; JAX bounds the number of programs that it keeps.
"""

from __future__ import annotations

import functools
import inspect
import math
import sys
from typing import Any

from flaxact._lazy import jax, np
from flaxact.activations._check import check_domain, real_input, unwrapped
from flaxact.activations._numerics import Function, Parts
from flaxact.activations._spec import Activation, Spec
from flaxact.errors import InputError
from flaxact.spec_text import as_float, plain

# The transformations that call a function as it is, where others trace it into a program.
_CALLING = {"EvalTrace", "JVPTrace", "LinearizeTrace", "BatchTrace"}
_STATIC = (bool, int, float, tuple, Activation, type(None))


def eager(spec: Spec, signature: inspect.Signature, traced: Function) -> Function:
    """A compiled form, for eager calls, of ``traced``, which checks its arguments."""
    arguments = _Arguments(spec, signature)
    array: type | None = None  # of JAX, which is not imported before the first call
    program: Function = traced

    def compiled(args: tuple[object, ...], kwargs: dict[str, object]) -> jax.Array:
        nonlocal array, program
        if len(args) == 1 and not kwargs and type(args[0]) is array:
            return program(args[0])
        if program is traced:
            program = jax.jit(traced, static_argnames=arguments.static, inline=True)
        if array is None and args and isinstance(args[0], jax.Array) and not _is_traced(args[0]):
            array = type(args[0])
        passed = arguments.passed(args, kwargs, array)
        if passed is None:
            return traced(*args, **kwargs)
        x, numbers = passed
        try:
            if len(numbers) == 1 and arguments.second in numbers:
                return program(x, numbers[arguments.second])  # quicker than by name
            return program(x, **numbers)
        except jax.errors.JaxRuntimeError:  # a transfer guard lets no number through as an argument
            return traced(*args, **kwargs)

    @functools.wraps(traced)
    def call(*args: object, **kwargs: object) -> jax.Array:
        try:
            return compiled(args, kwargs)
        except InputError as error:
            # Without the frames of JAX and of tracing, and JAX's note on them.
            error.__dict__.pop("__notes__", None)
            raise error.with_traceback(None) from None

    return call


class _Arguments:
    """The arguments of a call that are passed to the compiled program."""

    def __init__(self, spec: Spec, signature: inspect.Signature):
        parameters = list(signature.parameters.values())
        self._spec = spec
        self._simple = not (spec.ordered or spec.exact)
        self._names = [p.name for p in parameters]
        self._in_order = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
        self._limits = {
            name: (parameter.default, *_limits(spec, name))
            for name, parameter in spec.hyperparameters.items()
            if type(parameter.default) is float and name not in spec.static
        }
        self.static = [name for name in spec.hyperparameters if name not in self._limits]
        self.second = next(iter(self._in_order[1:]), None)

    def passed(
        self, args: tuple[Any, ...], kwargs: dict[str, object], array: type | None
    ) -> tuple[jax.Array, dict[str, object]] | None:
        """The input, and the arguments that differ from their defaults.

        None for a call that is being traced into a program, and for an invalid call.
        """
        if len(args) == 1 == len(kwargs) and type(args[0]) is array and self._simple:
            name, value = next(iter(kwargs.items()))
            if type(value) is float and self._within(name, value):  # the commonest, made quick
                return args[0], {} if value == self._limits[name][0] else kwargs
        arguments = dict(zip(self._in_order, args, strict=False))
        arguments.update(kwargs)
        x = arguments.pop(self._names[0], None)
        if x is None or len(arguments) + 1 < len(args) + len(kwargs):
            return None
        if type(x) is not array:
            x = unwrapped(x)
            if not _called(x):
                return None
            x = real_input(self._spec, x)
        numbers: dict[str, object] = {}
        for name, value in arguments.items():
            if not self._take(name, value, numbers):
                return None
        if self._spec.ordered:
            check_domain(self._spec, numbers)
        if self._spec.exact and x.dtype != np.float64:
            numbers = {k: Parts.of(v) if type(v) is float else v for k, v in numbers.items()}
        return x, numbers

    def _within(self, name: str, value: float) -> bool:
        _, low, high = self._limits.get(name, (0.0, 1.0, 0.0))
        return low <= value <= high

    def _take(self, name: str, value: object, numbers: dict[str, object]) -> bool:
        """Add an argument that differs from its default; returns False if it is invalid."""
        if name in self._limits:
            default, low, high = self._limits[name]
            if type(value) is not float:
                value = plain(unwrapped(value))
                value = as_float(value) if type(value) is int else value
            if type(value) is float:
                if value != default:
                    numbers[name] = value
                return low <= value <= high
            numbers[name] = value
            return _is_array(value)
        value = plain(unwrapped(value))
        parameter = self._spec.hyperparameters.get(name)
        default = parameter.default if parameter else None
        if name == "per_channel" and type(value) is bool:
            return True  # which says only how it is trained
        if type(value) is not type(default) or value != default:
            numbers[name] = value
        if parameter:
            return isinstance(value, _STATIC)
        return name in self._names and (value is None or _is_array(value))


def _limits(spec: Spec, name: str) -> tuple[float, float]:
    """The lowest and the highest allowed value of a number."""
    low, high = (0.0, 1.0) if name in spec.unit else (-sys.float_info.max, sys.float_info.max)
    low = math.ulp(0.0) if name in spec.positive else low
    return math.nextafter(1.0, 2.0) if name in spec.above_one else low, high


def _is_array(value: object) -> bool:
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "biuf"
    return isinstance(value, jax.Array) and _called(value)


def _is_traced(value: object) -> bool:
    return isinstance(value, jax.core.Tracer)  # type: ignore[attr-defined]


def _called(value: object) -> bool:
    """Whether one of the functions is being called eagerly instead of being traced into a program.

    Decided by what JAX's tracers hold. If they do not hold the function, and for all other traces,
    the answer is False.
    """
    if not _is_traced(value):
        return True
    trace = getattr(value, "_trace", None)
    while trace is not None:
        if type(trace).__name__ not in _CALLING:
            return False
        trace = getattr(trace, "parent_trace", None)
    return hasattr(value, "_trace")
