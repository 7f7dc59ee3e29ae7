"""Activations that are random in training: random with a key, as in testing without one."""

from __future__ import annotations

import math

from flaxact._lazy import jax, jnp
from flaxact.activations._define import activation
from flaxact.activations._grad import keeps_output

INF = math.inf


def _drawn_slope(x: jax.Array, slope: float | jax.Array) -> jax.Array:
    return jnp.where(x > 0, x, slope * x)


@activation(
    r"x \text{ if } x > 0 \text{ else } x / a, \quad a \sim U(\mathrm{lower}, \mathrm{upper})",
    source="xu2015empirical",
    range=(-INF, INF),
    kinks=(0.0,),
    positive=("lower", "upper"),
    ordered=("lower", "upper"),
    note="The paper draws the divisor, from U(3, 8), and tests with its mean, 5.5; PyTorch, TensorFlow "
    "and others draw the slope, from U(1/8, 1/3): rrelu_slope.",
)
@keeps_output(lambda y, lower, upper: jnp.where(y > 0, 1, 2 / (lower + upper)).astype(y.dtype))
def rrelu(
    x: jax.Array, lower: float = 3.0, upper: float = 8.0, key: jax.Array | None = None
) -> jax.Array:
    """Randomised leaky ReLU, as published: the slope's inverse is drawn for each value.

    Args:
      x: the input.
      lower: least divisor, positive.
      upper: largest divisor.
      key: random key, for training; with None the divisor is the mean of the two.

    >>> [round(float(y), 4) for y in rrelu(jnp.array([-5.5, 2.0]))]
    [-1.0, 2.0]
    """
    if key is None:
        return _drawn_slope(x, 2 / (lower + upper))
    return _drawn_slope(x, 1 / jax.random.uniform(key, x.shape, x.dtype, lower, upper))


@activation(
    r"x \text{ if } x > 0 \text{ else } s x, \quad s \sim U(\mathrm{lower}, \mathrm{upper})",
    source="xu2015empirical",
    range=(-INF, INF),
    kinks=(0.0,),
    ordered=("lower", "upper"),
    note="PyTorch's RReLU: tests with the mean slope 11/48 = 0.229, where the paper's has 1/5.5 = 0.182.",
)
@keeps_output(
    lambda y, lower, upper: jnp.where(y > 0, 1, (lower + upper) / 2).astype(y.dtype),
    when=lambda lower, upper: lower + upper >= 0,
)
def rrelu_slope(
    x: jax.Array, lower: float = 1 / 8, upper: float = 1 / 3, key: jax.Array | None = None
) -> jax.Array:
    """Randomised leaky ReLU, as PyTorch has it: the slope is drawn for each value.

    Args:
      x: the input.
      lower: least slope.
      upper: largest slope.
      key: random key, for training; with None the slope is the mean of the two.

    >>> [round(float(y), 4) for y in rrelu_slope(jnp.array([-4.8, 2.0]))]
    [-1.1, 2.0]
    """
    if key is None:
        return _drawn_slope(x, (lower + upper) / 2)
    return _drawn_slope(x, jax.random.uniform(key, x.shape, x.dtype, lower, upper))


def _relu(x: jax.Array) -> jax.Array:
    return jnp.where(x <= 0, 0, x)


@activation(
    r"\max(x + n, 0), \quad n \sim \mathcal{N}(0, \sigma(x))",
    source="nair2010relu",
    range=(0.0, INF),
    kinks=(0.0,),
    aliases=("nrelu",),
)
@keeps_output(lambda y: jnp.where(y > 0, 1, 0).astype(y.dtype))
def noisy_relu(x: jax.Array, key: jax.Array | None = None) -> jax.Array:
    """Noisy ReLU: Gaussian noise before the threshold, of variance sigmoid(x).

    Args:
      x: the input.
      key: random key, for training; with None the output is that of relu.

    >>> [float(y) for y in noisy_relu(jnp.array([-1.0, 2.0]))]
    [0.0, 2.0]
    """
    if key is None:
        return _relu(x)
    std = jnp.exp(-jnp.logaddexp(-x, 0) / 2)
    return _relu(x + std * jax.random.normal(key, x.shape, x.dtype))


@activation(
    r"k \max(x, 0), \quad k \sim U(1 - \alpha, 1 + \alpha)",
    source="jiang2018erelu",
    range=(0.0, INF),
    kinks=(0.0,),
    unit=("alpha",),
    aliases=("erelu",),
    note="The paper draws once an epoch and neuron; here each call draws for each value.",
)
@keeps_output(lambda y, alpha: jnp.where(y > 0, 1, 0).astype(y.dtype))
def elastic_relu(x: jax.Array, alpha: float = 0.5, key: jax.Array | None = None) -> jax.Array:
    r"""Elastic ReLU: the slope above zero is random, uniform between 1 - alpha and 1 + alpha.

    Args:
      x: the input.
      alpha: half the width of the slope's interval, from 0 to 1.
      key: random key, for training; with None the output is that of relu.

    >>> [float(y) for y in elastic_relu(jnp.array([-1.0, 2.0]))]
    [0.0, 2.0]
    """
    if key is None:
        return _relu(x)
    return jax.random.uniform(key, x.shape, x.dtype, 1 - alpha, 1 + alpha) * _relu(x)


@activation(
    r"\max(x + a, 0), \quad a \sim \mathcal{N}(0, \mathrm{std}^2)",
    source="cao2018randomly",
    range=(0.0, INF),
    kinks=(0.0,),
    positive=("std",),
    aliases=("rt_relu",),
)
@keeps_output(lambda y, std: jnp.where(y > 0, 1, 0).astype(y.dtype))
def randomly_translated_relu(
    x: jax.Array, std: float = 0.75, key: jax.Array | None = None
) -> jax.Array:
    """Randomly translated ReLU: the input is shifted by a random number before the threshold.

    Args:
      x: the input.
      std: standard deviation of the shift, positive.
      key: random key, for training; with None the output is that of relu.

    >>> [float(y) for y in randomly_translated_relu(jnp.array([-1.0, 2.0]))]
    [0.0, 2.0]
    """
    if key is None:
        return _relu(x)
    return _relu(x + std * jax.random.normal(key, x.shape, x.dtype))
