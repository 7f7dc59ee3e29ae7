"""Channels that compete: maxout, winner take all, and their relatives."""

from __future__ import annotations

import math

from flaxact._lazy import jax, jnp
from flaxact.activations._check import check_divisible
from flaxact.activations._define import activation
from flaxact.activations._grad import keeps_input
from flaxact.activations._numerics import finite, largest, square_root
from flaxact.errors import InputError

INF = math.inf
_AXIS = {"monotonic": False, "coupled": True}


def _blocks(name: str, x: jax.Array, axis: int, size: int) -> jax.Array:
    """The axis last, cut into blocks of neighbors: (..., blocks, size)."""
    check_divisible(name, x, axis, size)
    moved = jnp.moveaxis(x, axis, -1)
    return moved.reshape(*moved.shape[:-1], moved.shape[-1] // size, size)


def _joined(blocks: jax.Array, axis: int) -> jax.Array:
    flat = blocks.reshape(*blocks.shape[:-2], math.prod(blocks.shape[-2:]))
    return jnp.moveaxis(flat, -1, axis)


def _divided(width: int, pieces: int, **_: object) -> int:
    return width // pieces


@activation(
    r"\max_{j} x_{ij}, \quad j = 1 \dots \mathrm{pieces}",
    source="goodfellow2013maxout",
    range=(-INF, INF),
    width=_divided,
    positive=("pieces",),
    **_AXIS,
)
@keeps_input()
def maxout(x: jax.Array, pieces: int = 2, axis: int = -1) -> jax.Array:
    """Maxout: the maximum of each group of neighboring channels.

    Args:
      x: the input; its width along the axis is a multiple of ``pieces``.
      pieces: number of channels that are combined into one.
      axis: the channel axis.

    >>> maxout(jnp.array([2.0, -3.0, 1.0, 4.0]))
    Array([2., 4.], dtype=float32)
    """
    return jnp.moveaxis(_blocks("maxout", x, axis, pieces).max(-1), -1, axis)


@activation(
    r"x_i \text{ if it is the largest of its block, else } 0",
    source="srivastava2013lwta",
    range=(-INF, INF),
    positive=("size",),
    aliases=("local_winner_take_all",),
    **_AXIS,
)
@keeps_input()
def lwta(x: jax.Array, size: int = 2, axis: int = -1) -> jax.Array:
    """Local winner take all: all but the largest of each block of neighboring channels become zero.

    Args:
      x: the input; its width along the axis is a multiple of ``size``.
      size: number of channels in a block.
      axis: the channel axis.

    >>> lwta(jnp.array([2.0, -3.0, 1.0, 4.0]))
    Array([2., 0., 0., 4.], dtype=float32)
    """
    blocks = _blocks("lwta", x, axis, size)
    won = jax.nn.one_hot(blocks.argmax(-1), size, dtype=bool)
    return _joined(jnp.where(won, blocks, 0), axis)


@activation(
    r"(\max(x_1, x_2), \min(x_1, x_2))",
    source="chernodub2016oplu",
    range=(-INF, INF),
    **_AXIS,
)
@keeps_input()
def oplu(x: jax.Array, axis: int = -1) -> jax.Array:
    """Orthogonal permutation linear unit: sorts each pair of neighboring channels, larger first.

    The norms of inputs and of gradients do not change.

    Args:
      x: the input, whose width along the axis is even.
      axis: the channel axis.

    >>> oplu(jnp.array([2.0, -3.0, 1.0, 4.0]))
    Array([ 2., -3.,  4.,  1.], dtype=float32)
    """
    pairs = _blocks("oplu", x, axis, 2)
    first = pairs[..., 0]
    second = pairs[..., 1]
    # Not max and min, whose derivative at a tie is a half and a half: no permutation.
    swap = (second > first)[..., None]
    return _joined(jnp.where(swap, pairs[..., ::-1], pairs), axis)


@activation(
    r"x_i \text{ if it is among the } k \text{ largest, else } 0",
    source="makhzani2014ksparse",
    range=(-INF, INF),
    positive=("density",),
    unit=("density",),
    **_AXIS,
)
@keeps_input()
def k_winners(x: jax.Array, density: float = 0.25, axis: int = -1) -> jax.Array:
    r"""k-winners take all: all but the k largest channels become zero.

    Args:
      x: the input.
      density: the share of the channels that is kept, above 0 and at most 1; :math:`k` is this
        share of their number, rounded up. Channels equal to the smallest kept one are kept too.
      axis: the channel axis.

    >>> k_winners(jnp.array([2.0, -3.0, 1.0, 4.0]))
    Array([0., 0., 0., 4.], dtype=float32)
    """
    moved = jnp.moveaxis(x, axis, -1)
    width = moved.shape[-1]
    if isinstance(density, int | float):
        count = math.ceil(density * width - 1e-9)  # 0.07 * 100 is more than 7
        least = jax.lax.top_k(moved, count)[0][..., -1:] if count else moved
    else:
        shares = jnp.reshape(density, (1,) * (x.ndim - jnp.ndim(density)) + jnp.shape(density))
        shares = jnp.moveaxis(shares, axis, -1)
        if shares.shape[-1] > 1:
            raise InputError(f"k_winners takes one density for all of axis {axis}")
        index = width - jnp.clip(jnp.ceil(shares * width * (1 - 3e-7)), 1, width).astype(int)
        index = jnp.broadcast_to(index, (*moved.shape[:-1], 1))
        least = jnp.take_along_axis(jnp.sort(moved, -1), index, -1)
    return jnp.moveaxis(jnp.where(moved < least, 0, moved), -1, axis)


@activation(
    r"\max(x - \mu - \sigma\,\Phi^{-1}(p), 0), \quad \mu, \sigma \text{ mean and deviation of } x",
    source="huggingface2026transformers",
    range=(0.0, INF),
    positive=("sparsity",),
    unit=("sparsity",),
    note="Gemma 3n has it before GELU, with sparsity 0.95, in its first ten layers.",
    **_AXIS,
)
@keeps_input()
def gaussian_topk(x: jax.Array, sparsity: float = 0.95, axis: int = -1) -> jax.Array:
    r"""ReLU of the input minus a threshold, so that a share ``sparsity`` of Gaussian channels is 0.

    Args:
      x: the input.
      sparsity: :math:`p`, the share of the outputs that is zero for a Gaussian input.
      axis: the channel axis.

    >>> [round(float(y), 4) for y in gaussian_topk(jnp.array([2.0, -3.0, 1.0, 4.0]), 0.75)]
    [0.0, 0.0, 0.0, 1.2804]
    """
    x = finite(x)
    size = largest(x, axis)
    scale = size / jnp.clip(size, 1e-15, 1e15)  # so that no square overflows or vanishes
    z = x / jnp.where(scale > 0, scale, 1)
    mean = jnp.mean(z, axis, keepdims=True)
    deviation = square_root(jnp.mean((z - mean) ** 2, axis, keepdims=True))
    quantile = jnp.minimum(jax.scipy.special.ndtri(jnp.asarray(sparsity, x.dtype)), 40)
    threshold = scale * (mean + deviation * quantile)
    return jnp.where(x <= threshold, 0, x - threshold)
