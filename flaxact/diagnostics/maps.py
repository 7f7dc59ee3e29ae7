"""Measurements of wide random nets, to compare with the maps of ``flaxact.theory``."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from flaxact._lazy import listing
from flaxact.activations import Activation, get
from flaxact.theory import correlation_map

__dir__ = listing(__name__)


def measured_correlation_map(
    activation: str | Activation | Callable[..., jax.Array],
    correlations: np.typing.ArrayLike,
    width: int = 2000,
    depth: int = 20,
    seed: int = 0,
    *,
    pairs: int = 16,
) -> np.ndarray:
    """The cosine of two inputs' activations after each layer of one random net without biases.

    Weights are Gaussian. Each input's pre-activations are rescaled to second moment 1 in every
    layer, as the map assumes; otherwise a single input's second moment would drift, and a layer of
    gelu multiplies any deviation by 1.14. Pairs of inputs have exactly the given cosine; after a
    layer it fluctuates by about 1 / √width.

    Args:
      activation: a pointwise activation: a name, a spec text, a function or an ``Activation``.
      correlations: (n,), from -1 to 1.
      width: width of all layers.
      depth: number of layers.
      seed: seed of weights and inputs.
      pairs: number of input pairs to average over.

    Returns:
      (depth, n); ``iterated_correlation_map`` gives the theory's values.

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
    activation: str | Activation | Callable[..., jax.Array],
    correlations: np.typing.ArrayLike,
    depth: int = 20,
) -> np.ndarray:
    """The values of ``measured_correlation_map`` in theory, for infinite width: (depth, n)."""
    by_layer = [np.asarray(correlations, np.float64)]
    for _ in range(depth):
        # Rounding must not lead out of [-1, 1].
        by_layer.append(np.clip(correlation_map(activation, by_layer[-1]), -1, 1))
    return np.stack(by_layer[1:])


def measured_second_moments(
    activation: str | Activation | Callable[..., jax.Array],
    weight_std: float,
    width: int = 2000,
    depth: int = 20,
    seed: int = 0,
    *,
    inputs: int = 16,
) -> np.ndarray:
    """Mean squares of the activations of one random net without biases, for each layer: (depth,).

    Args:
      activation: a name, a spec text, a function or an ``Activation``.
      weight_std: standard deviation of the weights, times √width; √2 is He's initialization.
      width: width of all layers.
      depth: number of layers.
      seed: seed of weights and inputs.
      inputs: number of Gaussian first-layer pre-activations to average over.
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

    Without a ``weight_std``, each input's pre-activations are rescaled to mean square 1.
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
    """The share of random ReLU nets of one input that are born dead (Lu et al. 2019, §3).

    A dead net is constant at initialization. Weights are Gaussian and biases 0, so a net is linear
    on each side of 0, and the inputs 1 and -1 decide: it is dead if some hidden layer outputs only
    zeros for each of them. ``theory.born_dead_bound`` is an upper bound.

    Args:
      width: width of each hidden layer.
      depth: number of weight layers, one more than the hidden layers.
      draws: number of nets.
      seed: seed of their weights.

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
