"""Wide random nets, measured: what theory's maps are compared with."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flaxact._lazy import listing
from flaxact.activations import Activation, get
from flaxact.theory import correlation_map

__dir__ = listing(__name__)


def measured_correlation_map(
    activation: str | Activation | Callable[..., Any],
    correlations: Any,
    width: int = 2000,
    depth: int = 20,
    seed: int = 0,
    *,
    pairs: int = 16,
) -> np.ndarray:
    """The cosine of two inputs' activations after each layer of one random net without biases.

    Weights are Gaussian. The pre-activations of each input are scaled to a second moment of 1 in every
    layer, which the map presumes: with weights that keep it in the mean, that of one input wanders, and
    a layer of gelu makes any deviation 1.14 times as large. Pairs of inputs have the given cosine
    exactly; after a layer it fluctuates by about 1 / √width.

    Args:
      activation: a pointwise one, by name, spec text, function or as ``Activation``.
      correlations: (n,), from -1 to 1.
      width: of all layers.
      depth: number of layers.
      seed: of weights and inputs.
      pairs: of inputs, over which is averaged.

    Returns:
      (depth, n); ``iterated_correlation_map`` is what theory expects.

    Raises:
      InputError: as ``get``.
    """
    activation = get(activation)
    c = jnp.asarray(correlations, jnp.float32)
    key, inputs = jax.random.split(jax.random.key(seed))
    u, v = jax.random.normal(inputs, (2, c.size, pairs, width))
    u = u / jnp.linalg.norm(u, axis=-1, keepdims=True)
    v = v - jnp.sum(u * v, -1, keepdims=True) * u
    v = v / jnp.linalg.norm(v, axis=-1, keepdims=True)
    c = c[:, None, None]
    x = math.sqrt(width) * jnp.stack([u, c * u + jnp.sqrt((1 - c) * (1 + c)) * v])
    products = _propagate(activation, depth, None, x, key=key)
    lengths = jnp.sqrt(products[:, 0] * products[:, 1])
    return np.asarray(jnp.mean(products[:, 2] / lengths, -1), np.float64)


def iterated_correlation_map(
    activation: str | Activation | Callable[..., Any], correlations: Any, depth: int = 20
) -> np.ndarray:
    """What theory expects of ``measured_correlation_map``, (depth, n), for infinite width."""
    found = [np.asarray(correlations, np.float64)]
    for _ in range(depth):
        # Rounding must not lead out of [-1, 1].
        found.append(np.clip(correlation_map(activation, found[-1]), -1, 1))
    return np.stack(found[1:])


def measured_second_moments(
    activation: str | Activation | Callable[..., Any],
    weight_std: float,
    width: int = 2000,
    depth: int = 20,
    seed: int = 0,
    *,
    inputs: int = 16,
) -> np.ndarray:
    """Mean squares of the activations of one random net without biases, layer by layer: (depth,).

    Args:
      activation: by name, spec text, function or as ``Activation``.
      weight_std: of weights, times √width: √2 is He's initialisation.
      width: of all layers.
      depth: number of layers.
      seed: of weights and inputs.
      inputs: Gaussian pre-activations of the first layer, over which is averaged.
    """
    key, own = jax.random.split(jax.random.key(seed))
    x = jax.random.normal(own, (2, 1, -(-inputs // 2), width))
    products = _propagate(get(activation), depth, weight_std, x, key=key)
    return np.asarray(products[:, :2].mean((1, 2, 3)), np.float64)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _propagate(
    activation: Activation, depth: int, weight_std: float | None, x: jax.Array, key: jax.Array
) -> jax.Array:
    """E u², E v² and E u v (depth, 3, ...) of the activations, for pre-activations x (2, ..., width).

    Without a ``weight_std`` those of each input are scaled to a mean square of 1.
    """
    width = x.shape[-1]

    def layer(x: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        y = activation(x)
        squares = jnp.stack([*jnp.mean(y * y, -1), jnp.mean(y[0] * y[1], -1)])
        x = y @ jax.random.normal(key, (width, width))
        own = jnp.sqrt(jnp.mean(x * x, -1, keepdims=True))
        return x / (own if weight_std is None else math.sqrt(width) / weight_std), squares

    return jax.lax.scan(layer, x, jax.random.split(key, depth))[1]


def born_dead(width: int, depth: int, draws: int = 2000, seed: int = 0) -> float:
    """The share of random ReLU nets of one input that are constant from the start (Lu et al. 2019, §3).

    Weights are Gaussian and biases 0, so that a net is linear on each side of 0 and two inputs, 1 and
    -1, tell: it is dead where some hidden layer gives 0 to each. ``theory.born_dead_bound`` is above it.

    Args:
      width: of each hidden layer.
      depth: layers with weights, one more than the hidden ones.
      draws: number of nets.
      seed: of their weights.

    >>> 0.85 < born_dead(width=2, depth=10) < 0.925
    True
    """
    generator = np.random.default_rng(seed)
    x = np.broadcast_to([[[1.0], [-1.0]]], (draws, 2, 1))
    for _ in range(depth - 1):
        # He's scale, which keeps numbers from underflow; whether one is 0 does not depend on it.
        weights = generator.normal(0, math.sqrt(2 / x.shape[-1]), (draws, x.shape[-1], width))
        x = np.maximum(x @ weights, 0)
    return float(np.mean(~x.any((1, 2))))
