"""Facts that are computed from an activation: its shape, its moments, its cost."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from flaxact._lazy import jax, jnp, np
from flaxact.activations import Activation, get  # noqa: F401 (get is for the examples)
from flaxact.quadrature import crossings, evaluate
from flaxact.theory import Moments, fixed_point, gaussian_moments, lends_slope

if TYPE_CHECKING:
    from jax.extend.core import Jaxpr

_FAR = 1e6
_TRANSCENDENTAL = {
    "exp", "exp2", "expm1", "log", "log1p", "logistic", "pow", "sqrt", "rsqrt", "cbrt", "sin", "cos",
    "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "erf",
    "erfc", "erf_inv", "lgamma", "digamma",
}  # fmt: skip


@functools.cache
def moments(activation: Activation) -> Moments:
    """``gaussian_moments`` of an activation for a standard Gaussian input, cached per activation."""
    return gaussian_moments(activation)


@functools.cache
def lipschitz(activation: Activation) -> float:
    """The Lipschitz constant, to about six digits; ``inf`` for a jump or an unbounded slope.

    >>> lipschitz(get("relu")), lipschitz(get("squared_relu")), round(lipschitz(get("gelu")), 4)
    (1.0, inf, 1.129)
    """
    if activation.jumps:
        return math.inf
    away = _FAR + np.linspace(0, 7, 64)
    tails = [
        _steepness(activation, sign * distance).max()
        for sign in (-1, 1)
        for distance in (away, away / 10)
    ]
    edges = np.array([b + side for b in activation.breaks for side in (-1e-9, 1e-9)])
    x = np.concatenate([edges, np.linspace(-60, 60, 60_001) + 1e-7])
    size = _steepness(activation, x)
    place = x[size.argmax()]
    spacing = x[-1] - x[-2]
    near = _steepness(activation, np.linspace(place - spacing, place + spacing, 2001))
    top = max(size.max(), near.max())
    rises_left, rises_right = (far > max(2 * nearer, top) for far, nearer in (tails[:2], tails[2:]))
    return math.inf if rises_left or rises_right else float(max(top, *tails))


def _steepness(activation: Activation, x: np.ndarray) -> np.ndarray:
    """The absolute slope of the values, also if the derivative is a surrogate."""
    if lends_slope(activation):
        step = 1e-6 * np.maximum(1, abs(x))
        return abs(evaluate(activation, x + step) - evaluate(activation, x - step)) / (2 * step)
    return abs(evaluate(lambda x: jax.jvp(activation, (x,), (jnp.ones_like(x),))[1], x))


@functools.cache
def roots(activation: Activation) -> str:
    """The inputs from -20 to 20 at which the activation is 0, as text; or ``many`` or ``none``.

    >>> roots(get("relu")), roots(get("tanh")), roots(get("hard_swish")), roots(get("sigmoid"))
    ('x ≤ 0', '0', 'x ≤ -3, 0', 'none')
    """
    flat = list(_flat_zeros(activation))
    at = (0.0, *activation.jumps)
    near = [p for p in crossings(activation, 0.0) if all(abs(p - place) > 1e-9 for place in at)]
    candidates = np.array([*at, *near])
    zero = abs(evaluate(activation, candidates)) < np.array([1e-12] * len(at) + [1e-6] * len(near))
    outside = [all(not low - 1e-6 < p < high + 1e-6 for low, high in flat) for p in candidates]
    places = sorted(set(candidates[zero & outside & (abs(candidates) < 20)].tolist()))
    if len(flat) + len(places) > 5:
        return "many"
    labels = [(low, _interval(low, high)) for low, high in flat] + [(p, f"{p:.6g}") for p in places]
    return ", ".join(text for _, text in sorted(labels)) or "none"


def _interval(low: float, high: float) -> str:
    lower = f"{low:.6g} ≤ " if math.isfinite(low) else ""
    upper = f" ≤ {high:.6g}" if math.isfinite(high) else ""
    return f"{lower}x{upper}" if lower or upper else "everywhere"


def _flat_zeros(activation: Activation) -> Iterator[tuple[float, float]]:
    """The intervals on which the value is exactly zero."""
    x = np.linspace(-20, 20, 4001) + 1e-6
    zero = evaluate(activation, x) == 0
    edges = np.flatnonzero(np.diff(np.concatenate([[False], zero, [False]])))
    for first, end in edges.reshape(-1, 2).tolist():
        low = _edge(activation, *x[[first, first - 1]]) if first > 0 else -math.inf
        high = _edge(activation, *x[[end - 1, end]]) if end < x.size else math.inf
        beyond = np.array([p + d for p, d in ((low, -0.02), (high, 0.02)) if math.isfinite(p)])
        # Not a tail that has come to nothing in floating point.
        real = np.all(abs(evaluate(activation, beyond)) > 1e-9) if beyond.size else True
        if end - first > 1 and real:
            yield low, high


def _edge(activation: Activation, inside: float, outside: float) -> float:
    """The end of an interval of exact zeros, between a point inside and a point outside."""
    for _ in range(50):
        middle = (inside + outside) / 2
        flat = evaluate(activation, np.array([middle]))[0] == 0
        inside, outside = (middle, outside) if flat else (inside, middle)
    return 0.0 if abs(inside) < 1e-9 else round(float(inside), 9)


@functools.cache
def saturation(activation: Activation) -> str:
    """The sides on which the activation saturates, as text: left or right, hard (constant) or soft.

    >>> saturation(get("relu")), saturation(get("tanh")), saturation(get("identity"))
    ('left (hard)', 'left (soft), right (soft)', 'none')
    """
    sides = []
    far = np.linspace(_FAR, 2 * _FAR, 64)
    outermost = max([6.5, *(abs(b) + 0.5 for b in activation.breaks)])
    for side, sign in (("left", -1.0), ("right", 1.0)):
        with np.errstate(all="ignore"):
            y = evaluate(activation, sign * np.append([outermost, 50 + outermost], far))
        if np.isfinite(y[2]) and np.ptp(y[2:]) < 1e-5:
            # A smooth one has only come to its last digit.
            hard = np.all(y == y[0]) and math.isfinite(activation.smoothness)
            sides.append(f"{side} ({'hard' if hard else 'soft'})")
    return ", ".join(sides) or "none"


@functools.cache
def symmetry(activation: Activation) -> str:
    """The symmetry of an activation: ``odd``, ``even`` or ``none``.

    >>> symmetry(get("tanh")), symmetry(get("absolute")), symmetry(get("relu"))
    ('odd', 'even', 'none')
    """
    x = np.append(np.linspace(0.01, 9, 900), np.linspace(9.1, 60, 300))
    y = evaluate(activation, x)
    mirrored = evaluate(activation, -x)
    if np.allclose(y, -mirrored, rtol=1e-12, atol=1e-14):
        return "odd"
    return "even" if np.allclose(y, mirrored, rtol=1e-12, atol=1e-14) else "none"


def transcendentals(activation: Activation) -> int:
    """The number of transcendental operations (exp, log, roots and similar) in a forward pass.

    >>> transcendentals(get("relu")), transcendentals(get("silu"))
    (0, 1)
    """
    shape = jax.ShapeDtypeStruct((4, 8), jnp.float32)
    return _count(jax.make_jaxpr(activation)(shape).jaxpr)


def _count(jaxpr: Jaxpr) -> int:
    total = 0
    needed = {v for v in jaxpr.outvars if not hasattr(v, "val")}
    for equation in reversed(jaxpr.eqns):
        if needed.isdisjoint(equation.outvars):
            continue  # which a compiler leaves out
        needed |= {v for v in equation.invars if not hasattr(v, "val")}
        programs = map(
            _program, jax.tree.leaves(list(equation.params.values()), is_leaf=_is_program)
        )
        total += sum(_count(program) for program in programs if program)
        total += equation.primitive.name in _TRANSCENDENTAL
    return total


def _program(value: object) -> Jaxpr | None:
    """The jaxpr in a parameter of an equation, or None."""
    value = getattr(value, "jaxpr", value)
    return cast("Jaxpr", value) if hasattr(value, "eqns") else None


def _is_program(value: object) -> bool:
    return _program(value) is not None


@functools.cache
def arrays_kept(activation: Activation) -> float:
    """Arrays of a layer's size that training keeps for the backward pass, per layer of a dense net.

    From XLA's memory analysis: the difference between compiled steps of nets with 6 and with 3
    layers, whose outputs are (1024, 64).

    >>> arrays_kept(get("relu")) < 1.1
    True
    """
    rows = 1024
    width = 64

    def stack_bytes(layers: int) -> float:
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

    return (stack_bytes(6) - stack_bytes(3)) / (3 * 4 * rows * width)


def computed(activation: Activation) -> dict[str, str]:
    """All computed facts of a pointwise activation as text, in display order.

    >>> computed(get("relu"))["gain"]
    '1.414214'
    """
    if activation.spec.coupled:
        return {}
    gaussian = moments(activation)
    order = "∞" if math.isinf(activation.smoothness) else activation.smoothness
    return {
        "smoothness": "discontinuous" if activation.jumps else f"C{order}",
        "Lipschitz constant": f"{lipschitz(activation):.6g}",
        "zeros": roots(activation),
        "saturates": saturation(activation),
        "symmetry": symmetry(activation),
        "Gaussian mean": _number(gaussian.mean),
        "Gaussian variance": _number(gaussian.variance),
        "second moment": _number(gaussian.second_moment),
        "E[f'²]": _number(gaussian.derivative_second_moment),
        "exact zeros": f"{gaussian.zeros:.6g}",
        "gain": f"{gaussian.gain:.7g}" if gaussian.second_moment else "none",
        "C-map slope at 0": _number(gaussian.slope_at_zero),
        "C-map slope at 1": _number(gaussian.slope_at_one),
        "fixed point q*": _number(fixed_point(activation)),
        "arrays kept backward": f"{arrays_kept(activation):.2f}",
        "transcendentals": str(transcendentals(activation)),
    }


def _number(value: float) -> str:
    return "0" if abs(value) < 1e-12 else f"{value:.7g}"
