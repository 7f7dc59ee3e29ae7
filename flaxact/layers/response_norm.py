"""Local response normalization, within a map and across maps."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax


def response_norm(
    x: jax.Array, size: int = 3, scale: float = 5e-5, power: float = 0.75
) -> jax.Array:
    r"""Local response normalization within a map, cuda-convnet's ``rnorm``.

    :math:`y = x / (1 + \tfrac{scale}{size^2} \sum x^2)^{power}`; the sum runs over the ``size`` ×
    ``size`` neighbors in the same channel, with zeros beyond the border.

    Args:
      x: images (batch, height, width, channels).
      size: height and width of the neighborhood, odd.
      scale: weight of the sum of squares, divided by the number of neighbors (layer.py of
        cuda-convnet).
      power: exponent.
    """
    half = [(size // 2, (size - 1) // 2)] * 2
    window = (1, size, size, 1)
    squares = lax.reduce_window(x * x, 0.0, lax.add, window, (1, 1, 1, 1), [(0, 0), *half, (0, 0)])
    return x * (1 + scale / size**2 * squares) ** -power


def cross_map_response_norm(
    x: jax.Array, size: int = 5, scale: float = 1e-4, power: float = 0.75, bias: float = 1.0
) -> jax.Array:
    r"""Local response normalization across neighboring maps, cuda-convnet's ``cmrnorm``.

    :math:`y = x / (bias + \tfrac{scale}{size} \sum x^2)^{power}`; the sum runs over ``size``
    channels around each one, with zeros beyond the first and the last.
    ``torch.nn.LocalResponseNorm`` and Caffe divide by the size too; Krizhevsky et al. 2012, §3.3,
    don't: their α is ``scale / size``.

    Args:
      x: any shape, channels last.
      size: number of channels in a sum, the channel itself included.
      scale: weight of the mean square (layer.py of cuda-convnet divides it by the size).
      power: exponent, β.
      bias: k in the paper, ``minDiv`` in cuda-convnet2.
    """
    pad = [(0, 0)] * (x.ndim - 1) + [(size // 2, (size - 1) // 2)]
    padded = jnp.pad(x * x, pad)
    channels = x.shape[-1]
    # Shifted slices, as in the pools: reduce_window is slow on the CPU.
    squares = sum(padded[..., i : i + channels] for i in range(size))
    return x * (bias + scale / size * squares) ** -power
