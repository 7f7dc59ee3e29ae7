"""What can be computed of an activation: its shape, its moments, its cost; and a filter by all of it."""

from __future__ import annotations

import ast
import functools
import math
import operator
from collections.abc import Callable
from typing import Any

from flaxact._lazy import jax, jnp, np
from flaxact.activations import Activation, get, names
from flaxact.activations._gaussian import crossings, evaluate
from flaxact.errors import InputError, unknown
from flaxact.theory import Moments, fixed_point, gaussian_moments

_FAR = 1e6
_TRANSCENDENTAL = {
    "exp", "exp2", "expm1", "log", "log1p", "tanh", "logistic", "erf", "erfc", "erf_inv", "sin", "cos",
    "tan", "atan", "atan2", "asinh", "sinh", "cosh", "sqrt", "rsqrt", "cbrt", "pow",
}  # fmt: skip


def _slope(activation: Activation, x: np.ndarray) -> np.ndarray:
    return evaluate(lambda x: jax.jvp(activation, (x,), (jnp.ones_like(x),))[1], x)


@functools.cache
def moments(activation: Activation) -> Moments:
    """``gaussian_moments`` for a standard Gaussian, once for each activation."""
    return gaussian_moments(activation)


@functools.cache
def lipschitz(activation: Activation) -> float:
    """The largest slope in size, to about six digits; ``inf`` where it jumps or ever grows.

    >>> lipschitz(get("relu")), lipschitz(get("squared_relu")), round(lipschitz(get("gelu")), 4)
    (1.0, inf, 1.129)
    """
    if activation.jumps:
        return math.inf
    x = np.concatenate([np.linspace(-60, 60, 120_001) + 1e-7, [-_FAR, -_FAR / 10, _FAR / 10, _FAR]])
    edges = np.array([b + side for b in activation.breaks for side in (-1e-9, 1e-9)])
    size = abs(_slope(activation, np.concatenate([edges, x])))
    grows = max(size[-1] / (size[-2] + 1e-300), size[-4] / (size[-3] + 1e-300)) > 2
    grows = grows and max(size[-4], size[-1]) > size[:-4].max()  # not a tail on its way to zero
    return math.inf if grows else float(size.max())


@functools.cache
def roots(activation: Activation) -> str:
    """Where the value is zero, as text: places, half lines, or that there are many.

    >>> roots(get("relu")), roots(get("tanh")), roots(get("sigmoid"))
    ('x ≤ 0', '0', 'none')
    """
    x = np.linspace(-20, 20, 4001) + 1e-6
    zero = evaluate(activation, x) == 0
    (at,) = np.nonzero(zero)
    # A half line of exact zeros, not a tail that has come to nothing in floating point.
    if len(at) > 1 and x[at[-1]] > -6:
        left = "" if zero[0] else f"{_edge(activation, float(x[at[0]])):g} ≤ "
        right = "" if zero[-1] else f" ≤ {_edge(activation, float(x[at[-1]])):g}"
        return f"{left}x{right}"
    crossed = [p for p in crossings(activation, 0.0) if abs(p) < 20]
    places = [p for p in crossed if abs(float(evaluate(activation, np.array([p]))[0])) < 1e-6]
    at_zero = float(evaluate(activation, np.zeros(1))[0]) == 0
    if at_zero and not any(abs(p) < 1e-6 for p in places):
        places.append(0.0)
    if len(places) > 5:
        return "many"
    return ", ".join(f"{0.0 if abs(p) < 1e-9 else p:.6g}" for p in sorted(places)) or "none"


def _edge(activation: Activation, near: float) -> float:
    close = [k for k in (*activation.breaks, -1.0, 0.0, 1.0) if abs(k - near) < 0.02]
    return close[0] if close else near


@functools.cache
def saturation(activation: Activation) -> str:
    """On which sides the value comes to rest: ``left`` or ``right``, hard (slope exactly 0) or soft.

    >>> saturation(get("relu")), saturation(get("tanh")), saturation(get("identity"))
    ('left (hard)', 'left (soft), right (soft)', 'none')
    """
    found = []
    for side, sign in (("left", -1.0), ("right", 1.0)):
        with np.errstate(all="ignore"):
            near, far = evaluate(activation, sign * np.array([_FAR, 2 * _FAR]))
        if np.isfinite(near) and abs(far - near) < 1e-5:
            flat = np.all(_slope(activation, sign * np.array([6.5, 50.0])) == 0)
            hard = flat and math.isfinite(
                activation.smoothness
            )  # a smooth one has only underflowed
            found.append(f"{side} ({'hard' if hard else 'soft'})")
    return ", ".join(found) or "none"


@functools.cache
def symmetry(activation: Activation) -> str:
    """``odd``, ``even`` or ``none``.

    >>> symmetry(get("tanh")), symmetry(get("absolute")), symmetry(get("relu"))
    ('odd', 'even', 'none')
    """
    x = np.linspace(0.01, 9, 500)
    y, mirrored = evaluate(activation, x), evaluate(activation, -x)
    if np.allclose(y, -mirrored, rtol=1e-12, atol=1e-14):
        return "odd"
    return "even" if np.allclose(y, mirrored, rtol=1e-12, atol=1e-14) else "none"


def transcendentals(activation: Activation) -> int:
    """How many exponentials, logarithms, roots and the like a forward value takes.

    >>> transcendentals(get("relu")), transcendentals(get("silu"))
    (0, 1)
    """
    shape = jax.ShapeDtypeStruct((4, 8), jnp.float32)
    return _count(jax.make_jaxpr(activation)(shape).jaxpr)


def _count(jaxpr: Any) -> int:
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name in _TRANSCENDENTAL:
            total += 1
        elif "call_jaxpr" in equation.params:  # a custom derivative: the value's program
            total += _count(equation.params["call_jaxpr"].jaxpr)
        elif "jaxpr" in equation.params:
            inner = equation.params["jaxpr"]
            total += _count(getattr(inner, "jaxpr", inner))
    return total


@functools.cache
def arrays_kept(activation: Activation) -> float:
    """Arrays of a layer's size that a compiled training step of a dense stack keeps a layer.

    The difference between stacks of 10 and 4 layers of 1024 × 64, from what XLA says of their memory.

    >>> arrays_kept(get("relu")) < 1.1
    True
    """
    rows, width = 1024, 64

    def kept(layers: int) -> float:
        def loss(weights: list[jax.Array], x: jax.Array) -> jax.Array:
            for w in weights:
                x = activation(x @ w)
            return jnp.mean(x**2)

        def step(weights: list[jax.Array], x: jax.Array) -> list[jax.Array]:
            return [w - g for w, g in zip(weights, jax.grad(loss)(weights, x), strict=True)]

        weights = [jax.ShapeDtypeStruct((width, width), jnp.float32)] * layers
        x = jax.ShapeDtypeStruct((rows, width), jnp.float32)
        memory = jax.jit(step).lower(weights, x).compile().memory_analysis()
        return memory.temp_size_in_bytes if memory else math.nan

    return (kept(10) - kept(4)) / (6 * 4 * rows * width)


def computed(activation: Activation) -> dict[str, str]:
    """Every computed fact of a pointwise activation as text, in the order to show them.

    >>> computed(get("relu"))["gain"]
    '1.414214'
    """
    if activation.spec.coupled:
        return {}
    found = moments(activation)
    smooth = activation.smoothness
    return {
        "smoothness": "discontinuous"
        if smooth < 0
        else f"C{'∞' if math.isinf(smooth) else smooth}",
        "Lipschitz constant": f"{lipschitz(activation):.6g}",
        "zeros": roots(activation),
        "saturates": saturation(activation),
        "symmetry": symmetry(activation),
        "Gaussian mean": _number(found.mean),
        "Gaussian variance": _number(found.variance),
        "second moment": _number(found.second_moment),
        "E[f'²]": _number(found.derivative_second_moment),
        "exact zeros": f"{found.zeros:.6g}",
        "gain": f"{found.gain:.7g}" if found.second_moment else "none",
        "C-map slope at 0": _number(found.slope_at_zero),
        "C-map slope at 1": _number(found.slope_at_one),
        "fixed point q*": _number(fixed_point(activation)),
        "arrays kept backward": f"{arrays_kept(activation):.2f}",
        "transcendentals": str(transcendentals(activation)),
    }


def _number(value: float) -> str:
    return "0" if abs(value) < 1e-12 else f"{value:.7g}"


# What a condition may speak of: each a function of an activation.
CONDITIONS: dict[str, Callable[[Activation], Any]] = {
    "monotonic": lambda a: a.monotonic,
    "learned": lambda a: bool(a.learned),
    "stochastic": lambda a: a.stochastic,
    "coupled": lambda a: a.spec.coupled,
    "pointwise": lambda a: not a.spec.coupled,
    "bounded": lambda a: all(map(math.isfinite, a.range)),
    "bounded_below": lambda a: math.isfinite(a.range[0]),
    "smooth": lambda a: not a.spec.coupled and math.isinf(a.smoothness),
    "smoothness": lambda a: a.smoothness,
    "saturating": lambda a: saturation(a) != "none",
    "odd": lambda a: symmetry(a) == "odd",
    "even": lambda a: symmetry(a) == "even",
    "lipschitz": lipschitz,
    "transcendentals": transcendentals,
    "arrays_kept": arrays_kept,
    "zero_mean": lambda a: abs(moments(a).mean) < 1e-9,
    "sparse": lambda a: moments(a).zeros > 0,
    "mean": lambda a: moments(a).mean,
    "variance": lambda a: moments(a).variance,
    "second_moment": lambda a: moments(a).second_moment,
    "gain": lambda a: moments(a).gain,
    "zeros": lambda a: moments(a).zeros,
}
_OF_ANY = {
    "monotonic",
    "learned",
    "stochastic",
    "coupled",
    "pointwise",
    "bounded",
    "bounded_below",
    "smooth",
}
_COMPARISONS: dict[type, Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip


def select(where: str) -> tuple[str, ...]:
    """The names of the activations that meet a condition on their facts.

    A computed fact of an activation that is not pointwise is unknown, and a condition on it false.

    Args:
      where: facts (see ``CONDITIONS``) and numbers with and, or, not and comparisons.

    Raises:
      InputError: a condition that cannot be read, or an unknown fact.

    >>> "tanh" in select("monotonic and zero_mean and bounded"), "relu" in select("mean < 0.1")
    (True, False)
    """
    try:
        condition = ast.parse(where.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        raise _unreadable(where) from None
    return tuple(name for name in names() if _holds(condition, get(name), where) is True)


def _unreadable(where: str) -> InputError:
    return InputError(
        f"cannot read {where!r}: only facts, numbers, and, or, not, and comparisons, as in "
        "'monotonic and mean < 0.1'"
    )


def _holds(node: ast.expr, activation: Activation, where: str) -> Any:
    """The value of a condition, None where it is unknown."""
    match node:
        case ast.BoolOp(op=op, values=values):
            found = [_holds(value, activation, where) for value in values]
            decisive = isinstance(op, ast.Or)
            return decisive if decisive in found else None if None in found else not decisive
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            value = _holds(operand, activation, where)
            return None if value is None else not value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return -number
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARISONS:
            sides = _holds(left, activation, where), _holds(right, activation, where)
            return None if None in sides else bool(_COMPARISONS[type(op)](*sides))
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.Name(id=name):
            if name not in CONDITIONS:
                raise unknown("fact", name, CONDITIONS)
            known = name in _OF_ANY or not activation.spec.coupled
            return CONDITIONS[name](activation) if known else None
    raise _unreadable(where)
