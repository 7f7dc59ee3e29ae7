"""Convolution of images, written so that XLA runs it fast on the CPU too."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero

Padding = str | tuple[tuple[int, int], tuple[int, int]]

FEW = 4  # input channels of a first layer: gray, color, color and opacity
NARROW = (
    16  # up to so many channels on both sides XLA leaves a convolution to Eigen, which is slower
)
WIDE = 64  # features that fill the registers; of one input channel half of them do
FEW_GROUPS = 4  # which are convolutions of their own: XLA's gradient of one in groups is far slower
CACHED = 2**20  # bytes of one part of a batch, for the kernel's gradient
PART = 8  # images of a part, at least
DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def convolve(
    x: jax.Array, kernel: jax.Array, stride: int = 1, padding: Padding = "SAME", groups: int = 1
) -> jax.Array:
    """Convolution of images (batch, height, width, channels).

    In float32 on the CPU, some shapes take another form that XLA runs faster, with results equal up
    to rounding. The form is selected when the program is lowered for a platform.

    Args:
      x: images.
      kernel: (height, width, channels per group, features), of the dtype of ``x``.
      stride: the same in both directions.
      padding: "SAME", "VALID" or (low, high) for height and for width.
      groups: number of groups; each sees its own part of the channels.
    """
    if x.dtype != jnp.float32 or groups > FEW_GROUPS:
        return _plain(x, kernel, stride, padding, groups=groups)
    if groups > 1:
        return _by_platform(_in_groups)(x, kernel, stride, padding, groups)
    sizes = x.shape[1:3], kernel.shape[:2], (stride, stride)
    pads = lax.padtype_to_pads(*sizes, padding) if isinstance(padding, str) else padding
    return _fast(x, kernel, stride, tuple((low, high) for low, high in pads))


def _by_platform(fast):
    """A convolution with the form ``fast`` if lowered for the CPU, else XLA's own form."""

    def convolution(x, kernel, *options):
        return lax.platform_dependent(
            x,
            kernel,
            cpu=lambda x, kernel: fast(x, kernel, *options),
            default=lambda x, kernel: _plain(x, kernel, *options),
        )

    return convolution


def _in_groups(x, kernel, stride, padding, groups):
    parts = zip(jnp.split(x, groups, -1), jnp.split(kernel, groups, -1), strict=True)
    return jnp.concatenate([convolve(*part, stride, padding) for part in parts], -1)


def _plain(x, kernel, stride, padding, groups=1):
    """Like ``convolve``, in XLA's own form."""
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        padding,
        dimension_numbers=DIMENSIONS,
        feature_group_count=groups,
    )


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _fast(x, kernel, stride, padding):
    return _by_platform(_forward)(x, kernel, stride, padding)


@functools.partial(_fast.defjvp, symbolic_zeros=True)
def _fast_jvp(stride, padding, primals, tangents):
    """The tangent rule: for each input the form of the convolution whose transpose is fast."""
    (x, kernel) = primals
    (dx, dkernel) = tangents
    y = _fast(x, kernel, stride, padding)
    dy = None
    if not isinstance(dx, SymbolicZero):
        dy = _by_platform(_in_images)(dx, kernel, stride, padding)
    if not isinstance(dkernel, SymbolicZero):
        more = _by_platform(_in_kernel)(x, dkernel, stride, padding)
        dy = more if dy is None else dy + more
    return y, jnp.zeros_like(y) if dy is None else dy


def _forward(x, kernel, stride, padding):
    inputs, features = kernel.shape[2:]
    narrow = max(inputs, features) <= NARROW
    most = 2 if narrow else 1
    if inputs <= FEW:
        most = (WIDE if inputs > 1 else WIDE // 2) // features
    width = (x.shape[2] + sum(padding[1]) - kernel.shape[1]) // stride + 1
    count = next((count for count in range(most, 1, -1) if width % count == 0), 1)
    if count == 1:
        return _plain(x, kernel, stride, padding)
    return _side_by_side(x, kernel, stride, padding, count=count)


def _side_by_side(x, kernel, stride, padding, count):
    """Like ``_plain``; neighboring outputs are computed as features of one wider window."""
    reach = (count - 1) * stride
    shifts = (
        jnp.pad(kernel, ((0, 0), (i, reach - i), (0, 0), (0, 0)))
        for i in range(0, reach + 1, stride)
    )
    y = lax.conv_general_dilated(
        x,
        jnp.concatenate(list(shifts), -1),
        (stride, count * stride),
        padding,
        dimension_numbers=DIMENSIONS,
    )
    return y.reshape(*y.shape[:2], y.shape[2] * count, kernel.shape[-1])


def _in_images(dx, kernel, stride, padding):
    """Like ``_plain``. Its transpose is a convolution of the output's gradient, by ``_forward``."""
    if stride > 1 or max(kernel.shape[2:]) > NARROW:
        return _plain(dx, kernel, stride, padding)
    edges = zip(kernel.shape[:2], padding, strict=True)
    beyond = tuple((size - 1 - low, size - 1 - high) for size, (low, high) in edges)
    turned = kernel[::-1, ::-1].swapaxes(2, 3)
    y = jax.eval_shape(lambda: _plain(dx, kernel, stride, padding))
    return jax.linear_transpose(lambda g: _forward(g, turned, 1, beyond), y)(dx)[0]


def _in_kernel(x, dkernel, stride, padding):
    """Like ``_plain``, in parts of the batch, so that in the transpose each gradient fits the cache."""
    y = jax.eval_shape(lambda: _plain(x, dkernel, stride, padding))
    largest = max(x.size, y.size) * x.dtype.itemsize
    parts = 1
    while parts * CACHED < largest and x.shape[0] % (2 * parts * PART) == 0:
        parts *= 2
    if parts == 1:
        return _plain(x, dkernel, stride, padding)
    pieces = (_plain(piece, dkernel, stride, padding) for piece in jnp.split(x, parts))
    return jnp.concatenate(list(pieces))
