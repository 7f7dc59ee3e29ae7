"""Activations shaped so that signals survive a given depth without skips or normalization."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from flaxact._lazy import jax, jnp, np
from flaxact.activations._define import activation as define
from flaxact.activations._grad import keeps_input, keeps_output
from flaxact.activations._spec import Activation, Bounds
from flaxact.errors import InputError
from flaxact.quadrature import evaluate, rule

INF = math.inf


def leaky_correlation(correlation: float, negative_slope: float) -> float:
    """The C-map of leaky ReLU scaled to keep the second moment (Zhang et al. 2022, eq. 9)."""
    c = min(max(correlation, -1.0), 1.0)
    weight = (1 - negative_slope) ** 2 / (math.pi * (1 + negative_slope**2))
    return c + weight * (math.sqrt(1 - c * c) - c * math.acos(c))


@functools.lru_cache(256)
def tailored_slope(depth: int, eta: float) -> float:
    """The negative slope with which correlation 0 becomes ``eta`` after ``depth`` layers.

    Raises:
      InputError: no slope from 0 to 1 reaches ``eta``.

    >>> round(tailored_slope(50, 0.9), 4)
    0.4305
    """

    def reached(negative_slope: float) -> float:
        c = 0.0
        for _ in range(depth):
            c = leaky_correlation(c, negative_slope)
        return c

    if depth < 1 or not 0 < eta <= reached(0.0):
        raise InputError(
            f"tailored_relu needs a depth of 1 or more and an eta above 0 within its reach, not "
            f"depth={depth}, eta={eta}: relu reaches {reached(0.0) if depth > 0 else 0.0:.3g}"
        )
    low = 0.0
    high = 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if reached(middle) > eta else (low, middle)
    return (low + high) / 2


def _gain(depth: int, eta: float) -> tuple[float, float]:
    slope = tailored_slope(depth, eta)
    return math.sqrt(2 / (1 + slope * slope)), slope


def _tailored_relu_slope(y: jax.Array, depth: int, eta: float) -> jax.Array:
    gain, slope = _gain(depth, eta)
    return jnp.where(y > 0, gain, gain * slope).astype(y.dtype)


@define(
    r"\sqrt{2 / (1 + s^2)} \, (x \text{ if } x > 0 \text{ else } s x), "
    r"\quad C^{\mathrm{depth}}(0) = \eta",
    source="zhang2022tat",
    range=(-INF, INF),
    kinks=(0.0,),
    positive=("depth", "eta"),
    static=("eta",),
    note="Its paper calls it TReLU; `trelu` is another.",
)
@keeps_output(_tailored_relu_slope)
def tailored_relu(x: jax.Array, depth: int = 50, eta: float = 0.9) -> jax.Array:
    """Tailored rectifier (TReLU of TAT): leaky ReLU with a slope that depends on the net's depth.

    With this slope, two inputs of correlation 0 have correlation ``eta`` after ``depth`` layers: a
    deep net neither merges all inputs nor becomes linear. The C-map is known in closed form.

    Args:
      x: the input.
      depth: number of layers on the longest path of the net.
      eta: the correlation after ``depth`` layers, from 0 to 1; 0.9 in the paper.

    >>> [round(float(y), 4) for y in tailored_relu(jnp.array([-1.0, 1.0]))]
    [-0.5592, 1.2989]
    """
    gain, slope = _gain(depth, eta)
    return jnp.where(x > 0, gain * x, gain * slope * x)


def _averages(activation: Activation, a: float, b: float) -> dict[str, float]:
    """Means of y = f(a z + b) and its derivatives by a z + b, for a standard Gaussian z."""
    z, w = rule(0.0, 1.0, tuple((k - b) / a for k in activation.breaks))
    first = lambda x: jax.jvp(activation, (x,), (jnp.ones_like(x),))[1]  # noqa: E731
    y = evaluate(activation, a * z + b)
    s = evaluate(first, a * z + b)
    bend = evaluate(lambda x: jax.jvp(first, (x,), (jnp.ones_like(x),))[1], a * z + b)
    mean = float(w @ y)
    return {
        "mean": mean,
        "variance": float(w @ (y - mean) ** 2),
        "slope": float(w @ s**2),
        "bend": float(w @ bend**2),
        "ysz": float(w @ (y * s * z)),
        "sz": float(w @ (s * z)),
    }


ShapingConstants = tuple[float, float, float, float]
# From an activation, a and b to the residuals and (c, d).
Residual = Callable[[Activation, float, float], tuple[tuple[float, float], tuple[float, float]]]


def _solved(name: str, activation: Activation, residual: Residual) -> ShapingConstants:
    """(a, b, c, d) of c (f(a x + b) + d) at which both residuals are zero."""
    from scipy.optimize import root

    for start_a in (0.1, 0.3, 0.03, 1.0):
        for start_b in (0.0, 0.5, -0.5, 1.0, -1.0, 2.0, -2.0):
            with np.errstate(all="ignore"):
                solution = root(
                    lambda v: residual(activation, math.exp(min(max(v[0], -12), 4)), v[1])[0],
                    (math.log(start_a), start_b),
                    options={"xtol": 1e-13},
                )
            a = math.exp(min(max(solution.x[0], -12), 4))
            b = float(solution.x[1])
            error, (c, d) = residual(activation, a, b)
            if max(map(abs, error)) < 1e-9:
                return a, b, c, d
    raise InputError(
        f"{name} found no shape of {activation} that meets its conditions; ReLU and its variants have "
        "none: use tailored_relu for them"
    )


@functools.lru_cache(256)
def _dks(activation: Activation, depth: int, zeta: float) -> ShapingConstants:
    def residual(activation: Activation, a: float, b: float):
        m = _averages(activation, a, b)
        c = m["variance"] ** -0.5 if m["variance"] > 0 else 1.0
        d = -m["mean"]
        steepness = c * c * a * a * m["slope"]
        stable = c * c * a * (m["ysz"] + d * m["sz"])
        return (depth * math.log(max(steepness, 1e-300)) - math.log(zeta), stable - 1), (c, d)

    return _solved("tailored_dks", activation, residual)


@functools.lru_cache(256)
def _tat(activation: Activation, depth: int, tau: float) -> ShapingConstants:
    def residual(activation: Activation, a: float, b: float):
        m = _averages(activation, a, b)
        c = 1 / (a * max(m["slope"], 1e-300) ** 0.5)
        spare = 1 / (c * c) - m["variance"]
        d = -m["mean"] + math.copysign(math.sqrt(abs(spare)), spare)
        stable = c * c * a * (m["ysz"] + d * m["sz"])
        bend = c * c * a**4 * m["bend"]
        return (depth * bend / tau - 1, stable - 1), (c, d)

    return _solved("tailored_tat", activation, residual)


def _shaped(x: jax.Array, activation: Activation, shape: ShapingConstants) -> jax.Array:
    a, b, c, d = shape
    return c * (activation(a * x + b) + d)


def _shaped_range(activation: Activation, shape: ShapingConstants) -> Bounds:
    _, _, c, d = shape
    low, high = activation.range
    return c * (low + d), c * (high + d)


def _shape_facts(solve: Callable[..., ShapingConstants]) -> dict[str, Any]:
    def places(fact_name: str):
        def fact(activation: Activation, **options: float) -> tuple[float, ...]:
            a, b, _, _ = solve(activation, *options.values())
            return tuple((k - b) / a for k in getattr(activation, fact_name))

        return fact

    return {
        "range": lambda activation, **options: _shaped_range(
            activation, solve(activation, *options.values())
        ),
        "kinks": places("kinks"),
        "jumps": places("jumps"),
        "monotonic": lambda activation, **_: activation.monotonic,
        "smoothness": lambda activation, **_: activation.smoothness,
        "fixed": True,
    }


@define(
    r"c\,(f(a x + b) + d)",
    source="martens2021dks",
    positive=("depth", "zeta"),
    static=("zeta",),
    **_shape_facts(_dks),
)
@keeps_input()
def tailored_dks(
    x: jax.Array, activation: Activation, depth: int = 50, zeta: float = 1.5
) -> jax.Array:
    r"""Deep kernel shaping: an activation shifted and scaled so that deep nets can be trained.

    :math:`Q(1) = Q'(1) = 1`, :math:`C(0) = 0` and :math:`C'(1) = \zeta^{1/\mathrm{depth}}`: the
    second moment stays 1, inputs of correlation 0 stay uncorrelated, and the net's C-map has slope
    :math:`\zeta` at 1.

    Args:
      x: the input.
      activation: the activation, not a piecewise linear one.
      depth: number of layers on the longest path of the net.
      zeta: the slope at 1 of the net's C-map, above 1; 1.5 in the paper.

    Returns:
      An ``Activation``.

    >>> [round(float(y), 3) for y in tailored_dks("softplus")(jnp.array([-1.0, 1.0]))]
    [-0.998, 0.999]
    """
    return _shaped(x, activation, _dks(activation, depth, zeta))


@define(
    r"c\,(f(a x + b) + d)",
    source="zhang2022tat",
    positive=("depth", "tau"),
    static=("tau",),
    **_shape_facts(_tat),
)
@keeps_input()
def tailored_tat(
    x: jax.Array, activation: Activation, depth: int = 50, tau: float = 0.3
) -> jax.Array:
    r"""Tailored activation transformation, for smooth activations (``tailored_relu`` is for leaky ReLU).

    :math:`Q(1) = Q'(1) = C'(1) = 1` and :math:`C''(1) = \tau / \mathrm{depth}`.

    Args:
      x: the input.
      activation: the activation, a smooth one.
      depth: number of layers on the longest path of the net.
      tau: the second derivative at 1 of the net's C-map; 0.3 in the paper.

    Returns:
      An ``Activation``.

    >>> [round(float(y), 3) for y in tailored_tat("tanh")(jnp.array([-1.0, 1.0]))]
    [-0.943, 1.053]
    """
    if activation.smoothness < 1:
        raise InputError(f"tailored_tat needs a smooth activation, not {activation}")
    return _shaped(x, activation, _tat(activation, depth, tau))
