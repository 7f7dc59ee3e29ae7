"""Mish and its variants: the input times a gate made of two functions."""

from __future__ import annotations

import math

from flaxact._lazy import jax, jnp
from flaxact.activations._define import activation
from flaxact.activations._grad import keeps_input
from flaxact.activations._numerics import error_function, lifted, sech_squared, sigmoids

INF = math.inf


def _mish_slope(x: jax.Array) -> jax.Array:
    x = jnp.clip(x, -800, 20)  # from 20 on it is 1 in float64 too
    e = jnp.exp(x)
    n = e * (e + 2)
    return e * ((e + 2) * (n + 2) + 4 * x * (1 + e)) / ((n + 2) * (n + 2))


@activation(
    r"x \tanh(\log(1 + e^x))",
    source="misra2019mish",
    range=(-0.30884341, INF),
    monotonic=False,
)
@keeps_input(_mish_slope)
def mish(x: jax.Array) -> jax.Array:
    """Mish: x times the tanh of softplus(x).

    >>> [round(float(y), 4) for y in mish(jnp.array([-1.0, 2.0]))]
    [-0.3034, 1.944]
    """
    # tanh(log(1 + e)) is n / (n + 2) with n = e² + 2e: one exponential.
    e = jnp.exp(jnp.minimum(x, 20))
    n = e * (e + 2)
    return lifted(x) * (n / (n + 2))


def _logish_slope(x: jax.Array) -> jax.Array:
    x = jnp.clip(x, -800, 800)
    gate, rest = sigmoids(x)
    return jnp.log1p(gate) + x * gate * rest / (1 + gate)


@activation(
    r"x \log(1 + \sigma(x))", source="zhu2021logish", range=(-0.25276882, INF), monotonic=False
)
@keeps_input(_logish_slope)
def logish(x: jax.Array) -> jax.Array:
    """Logish: x log(1 + sigmoid(x)); its slope approaches log 2 for large x.

    >>> [round(float(y), 4) for y in logish(jnp.array([-1.0, 2.0]))]
    [-0.2382, 1.2634]
    """
    return lifted(x) * jnp.log1p(sigmoids(x)[0])


def _smish_slope(x: jax.Array) -> jax.Array:
    x = jnp.clip(x, -800, 800)
    gate, rest = sigmoids(x)
    m = gate * (gate + 2)
    return m / (m + 2) + x * 4 * (gate + 1) * gate * rest / ((m + 2) * (m + 2))


@activation(
    r"x \tanh(\log(1 + \sigma(x)))",
    source="wang2022smish",
    range=(-0.24999366, INF),
    monotonic=False,
)
@keeps_input(_smish_slope)
def smish(x: jax.Array) -> jax.Array:
    """Smish: x tanh(log(1 + sigmoid(x))); its slope approaches 0.6 for large x.

    >>> [round(float(y), 4) for y in smish(jnp.array([-1.0, 2.0]))]
    [-0.2338, 1.1184]
    """
    gate = sigmoids(x)[0]
    m = gate * (gate + 2)
    return lifted(x) * (m / (m + 2))


def _distribution(x: jax.Array) -> jax.Array:
    return jax.scipy.special.erfc(-x / math.sqrt(2)) / 2


def _phish_slope(x: jax.Array) -> jax.Array:
    x = jnp.clip(x, -40, 40)
    inner = x * _distribution(x)
    slope = _distribution(x) + x * jnp.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    return jnp.tanh(inner) + x * sech_squared(inner) * slope


@activation(
    r"x \tanh(\mathrm{gelu}(x))", source="naveen2022phish", range=(0.0, INF), monotonic=False
)
@keeps_input(_phish_slope)
def phish(x: jax.Array) -> jax.Array:
    """Phish: x times the tanh of the exact GELU of x; never negative.

    >>> [round(float(y), 4) for y in phish(jnp.array([-1.0, 2.0]))]
    [0.1573, 1.9213]
    """
    x = lifted(x)
    return x * jnp.tanh(x * _distribution(x))


def _tanhexp_slope(x: jax.Array) -> jax.Array:
    x = jnp.clip(x, -800, 6)  # from 6 on it is 1 in float64 too
    e = jnp.exp(x)
    return jnp.tanh(e) + x * e * sech_squared(e)


@activation(
    r"x \tanh(e^x)",
    source="liu2020tanhexp",
    range=(-0.35328578, INF),
    monotonic=False,
    aliases=("telu",),
    note="TanhExp (2020) and TeLU (Fernandez and Mali 2024) are the same function.",
)
@keeps_input(_tanhexp_slope)
def tanhexp(x: jax.Array) -> jax.Array:
    """TanhExp: x tanh(exp(x)), also published as TeLU.

    >>> [round(float(y), 4) for y in tanhexp(jnp.array([-1.0, 2.0]))]
    [-0.3521, 2.0]
    """
    return lifted(x) * jnp.tanh(jnp.exp(jnp.minimum(x, 6)))


def _serf_slope(x: jax.Array) -> jax.Array:
    x = jnp.clip(x, -800, 30)
    s = jnp.logaddexp(x, 0)
    density = 2 / math.sqrt(math.pi) * jnp.exp(-s * s)
    return error_function(s) + x * density * sigmoids(x)[0]


@activation(
    r"x\,\mathrm{erf}(\log(1 + e^x))",
    source="nag2021serf",
    range=(-0.34843746, INF),
    monotonic=False,
)
@keeps_input(_serf_slope)
def serf(x: jax.Array) -> jax.Array:
    """Serf (log-softplus error activation): x times the error function of softplus(x).

    >>> [round(float(y), 4) for y in serf(jnp.array([-1.0, 2.0]))]
    [-0.3422, 1.9947]
    """
    return lifted(x) * error_function(jnp.logaddexp(x, 0))
