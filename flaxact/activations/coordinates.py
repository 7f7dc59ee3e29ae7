"""Waves for nets of coordinates, of images and scenes: FINER, and WIRE's wavelet."""

from __future__ import annotations

import math

from flaxact._lazy import jax, jnp
from flaxact.activations._define import activation
from flaxact.activations._grad import in_jet, keeps_input
from flaxact.activations._numerics import finite, last_place
from flaxact.activations._spec import Bounds
from flaxact.activations._waves import Frequency, halves, near, turned, waves


def _finer_waves(frequency: Frequency, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Sin and cos of frequency · (x + x |x|), with what the sum and its square have lost."""
    square = x * abs(x)
    total = x + square
    total = jnp.where(jnp.isfinite(x), finite(total), total)
    sin, cos = waves(frequency, total)
    if x.dtype != jnp.float32 or in_jet(x):
        return sin, cos
    high, rest = halves(x)
    lost_square = ((high * high - abs(square)) + 2 * high * rest) + rest * rest
    added = total - x
    lost = (x - (total - added)) + (square - added) + jnp.sign(x) * lost_square
    return turned(sin, cos, near(frequency) * lost)


@activation(
    r"\sin(\omega (|x| + 1) x)",
    source="liu2024finer",
    range=(-1.0, 1.0),
    monotonic=False,
    smoothness=1,
    exact=("frequency",),
    note="Draw biases from a wide range: they choose the frequency. The authors' code does not "
    "differentiate |x| + 1 by default; here the derivative is exact.",
)
@keeps_input(
    lambda x, frequency: (
        (near(frequency) * (2 * abs(finite(x)) + 1)) * _finer_waves(frequency, x)[1]
    )
)
def finer(x: jax.Array, frequency: float = 1.0) -> jax.Array:
    r"""FINER: a sine whose frequency grows with the size of its input, for images and scenes.

    Args:
      x: the input; nan at infinity.
      frequency: :math:`\omega`, in radians; 30 in the paper's nets.

    >>> round(float(finer(jnp.array(0.1), 30.0)), 4)
    -0.1577
    """
    return _finer_waves(frequency, x)[0]


def _gabor_parts(x: jax.Array, scale: Frequency) -> tuple[jax.Array, jax.Array]:
    """What is squared, and the envelope."""
    place = near(scale) * finite(x)
    far = abs(place) > 30  # where the envelope is 0 in float64 too
    place = jnp.where(far, 0, place)
    return place, jnp.where(far, 0, jnp.exp(-place * place))


def _gabor_slope(x: jax.Array, frequency: Frequency, scale: Frequency) -> jax.Array:
    sin, cos = waves(frequency, finite(x))
    place, envelope = _gabor_parts(x, scale)
    return -envelope * (near(frequency) * sin + 2 * near(scale) * place * cos)


def _gabor_range(frequency: float, scale: float) -> Bounds:
    """The least value lies in the first half wave with negative ones."""
    ratio = (scale / frequency) ** 2

    def falls(angle: float) -> bool:
        return math.sin(angle) + 2 * ratio * angle * math.cos(angle) > 0

    least = last_place(falls, math.pi / 2, math.pi)
    return math.cos(least) * math.exp(-ratio * least * least), 1.0


@activation(
    r"\cos(\omega x) \, e^{-(s x)^2}",
    source="saragadam2023wire",
    range=_gabor_range,
    monotonic=False,
    exact=("frequency",),
    positive=("frequency", "scale"),
    note="The real part of WIRE's complex Gabor wavelet. In the paper's nets the input and the output "
    "of a layer are complex.",
)
@keeps_input(_gabor_slope)
def gabor(x: jax.Array, frequency: float = 1.0, scale: float = 1.0) -> jax.Array:
    r"""Real Gabor wavelet, a cosine in a Gaussian envelope, for images and scenes: WIRE.

    Args:
      x: the input.
      frequency: :math:`\omega`, positive, in radians; 10 in the authors' code.
      scale: :math:`s`, positive: large ones make the wavelet short; 10 in the authors' code.

    >>> [round(float(y), 4) for y in gabor(jnp.array([0.0, 1.0, 2.0]))]
    [1.0, 0.1988, -0.0076]
    """
    return _gabor_parts(x, scale)[1] * waves(frequency, finite(x))[1]
