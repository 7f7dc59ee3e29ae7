"""Max and average pooling of images, with cuda-convnet's windows or with PyTorch's adaptive cells."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def max_pool(x: jax.Array, size: int, stride: int) -> jax.Array:
    """Max pooling of images (batch, height, width, channels), with clipped windows at the border.

    As in cuda-convnet, windows start at multiples of ``stride`` and the last one may extend beyond
    the image, so there are ⌈(height - size) / stride⌉ + 1, at least one. Equal maxima share the
    gradient.

    >>> max_pool(jnp.arange(16.0).reshape(1, 4, 4, 1), 3, 2)[0, :, :, 0]
    Array([[10., 11.],
           [14., 15.]], dtype=float32)
    """
    return _max_pool(x, size, stride)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def _max_pool(x: jax.Array, size: int, stride: int) -> jax.Array:
    return _pool(x, size, stride, jnp.maximum, beyond=-jnp.inf)


@_max_pool.defjvp
def _max_pool_jvp(
    size: int, stride: int, primals: tuple[jax.Array], tangents: tuple[jax.Array]
) -> tuple[jax.Array, jax.Array]:
    # On the CPU XLA is slow in the gradients of its own max pooling and of strided slices. This one is
    # written to be fast, and the tangent is its transpose; of which JAX makes it again.
    (x,) = primals
    (dx,) = tangents
    y = _max_pool(x, size, stride)
    to_maxima = functools.partial(_to_maxima, x, y, size, stride)
    return y, jax.linear_transpose(to_maxima, y)(dx)[0]


def _to_maxima(x: jax.Array, y: jax.Array, size: int, stride: int, g: jax.Array) -> jax.Array:
    """The gradient ``g`` of each window, split equally among the pixels that attain its maximum."""
    filled = _filled(x, size, stride, -jnp.inf)
    along = {"size": size, "stride": stride}
    windows = (
        pixels for rows in _shifted(filled, 1, **along) for pixels in _shifted(rows, 2, **along)
    )
    maxima = sum((pixels == y).astype(y.dtype) for pixels in windows)
    # XLA computes again for every pixel what it regards as cheap. A division is not cheap: so y, which is
    # divided by 1 here, and g are computed once.
    y = y / jnp.minimum(maxima, 1)
    g = g / maxima
    # In blocks of stride × stride pixels, of which the first is where a window starts.
    blocks = [math.ceil(n / stride) for n in x.shape[1:3]]
    beyond = [(0, count * stride - n) for count, n in zip(blocks, x.shape[1:3], strict=True)]
    padded = jnp.pad(x, ((0, 0), *beyond, (0, 0)))
    pixels = padded.reshape(len(x), blocks[0], stride, blocks[1], stride, x.shape[-1])
    place = np.arange(stride)
    total = jnp.zeros((), g.dtype)
    for down, right in itertools.product(range(0, size, stride), repeat=2):
        # The windows that start so much above and to the left of a block.
        moves = zip((down // stride, right // stride), blocks, y.shape[1:3], strict=True)
        moves = [(0, 0, 0), *((by, count - n - by, 0) for by, count, n in moves), (0, 0, 0)]
        zero = jnp.zeros((), g.dtype)
        maximum, share = (lax.pad(a, zero, moves)[:, :, None, :, None] for a in (y, g))
        inside = (place + down < size)[:, None, None, None] & (place + right < size)[:, None]
        inside = inside[None, None]
        total += jnp.where(inside & (pixels == maximum), share, 0)
    return total.reshape(padded.shape)[:, : x.shape[1], : x.shape[2]]


def avg_pool(x: jax.Array, size: int, stride: int) -> jax.Array:
    """Average pooling with the windows of ``max_pool``; clipped windows average fewer pixels.

    >>> avg_pool(jnp.arange(16.0).reshape(1, 4, 4, 1), 3, 2)[0, :, :, 0]
    Array([[ 5. ,  6.5],
           [11. , 12.5]], dtype=float32)
    """
    counts = _pool(jnp.ones((1, *x.shape[1:3], 1), x.dtype), size, stride, jnp.add, beyond=0)
    return _pool(x, size, stride, jnp.add, beyond=0) / counts


def _pool(
    x: jax.Array, size: int, stride: int, combine: Callable[..., jax.Array], beyond: float
) -> jax.Array:
    x = _filled(x, size, stride, beyond)
    for axis in (1, 2):  # which takes less than all of a window at once
        x = functools.reduce(combine, _shifted(x, axis, size, stride))
    return x


def _filled(x: jax.Array, size: int, stride: int, beyond: float) -> jax.Array:
    """Images padded below and to the right, so that no window is clipped."""
    more = [-(n - size) % stride if n > size else size - n for n in x.shape[1:3]]
    return jnp.pad(x, ((0, 0), (0, more[0]), (0, more[1]), (0, 0)), constant_values=beyond)


def _shifted(x: jax.Array, axis: int, size: int, stride: int) -> list[jax.Array]:
    """The first pixel of every window along an axis, then the second, and so on."""
    reach = x.shape[axis] - size + 1
    return [lax.slice_in_dim(x, i, i + reach, stride, axis) for i in range(size)]


def adaptive_avg_pool(x: jax.Array, size: int) -> jax.Array:
    """Average pooling of images (batch, height, width, channels) to ``size`` × ``size``.

    Like ``torch.nn.AdaptiveAvgPool2d``: cell i averages rows ⌊i · height / size⌋ to ⌈(i + 1) ·
    height / size⌉ - 1, and columns alike. Cells overlap if the size does not divide the image's,
    and pixels repeat if the image is smaller.

    >>> adaptive_avg_pool(jnp.arange(9.0).reshape(1, 3, 3, 1), 2)[0, :, :, 0]
    Array([[2., 3.],
           [5., 6.]], dtype=float32)
    """
    return _adaptive(x, size, jnp.mean)


def adaptive_max_pool(x: jax.Array, size: int) -> jax.Array:
    """Max pooling of images (batch, height, width, channels) to (batch, size, size, channels).

    The cells are those of ``adaptive_avg_pool``, as in ``torch.nn.AdaptiveMaxPool2d``.

    >>> adaptive_max_pool(jnp.arange(9.0).reshape(1, 3, 3, 1), 2)[0, :, :, 0]
    Array([[4., 5.],
           [7., 8.]], dtype=float32)
    """
    return _adaptive(x, size, jnp.max)


def _adaptive(x: jax.Array, size: int, reduce: Callable[..., jax.Array]) -> jax.Array:
    for axis in (1, 2):
        n = x.shape[axis]
        cells = ((i * n // size, -(-(i + 1) * n // size)) for i in range(size))
        slices = (lax.slice_in_dim(x, start, stop, axis=axis) for start, stop in cells)
        x = jnp.concatenate([reduce(s, axis=axis, keepdims=True) for s in slices], axis)
    return x
