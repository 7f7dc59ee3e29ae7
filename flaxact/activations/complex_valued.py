"""Activations of complex or real inputs: ReLU by size, by quadrant, by phase or by parts.

JAX's ``grad`` of a real loss gives the conjugate of the direction in which the loss grows fastest.
None of these functions is holomorphic, so ``grad(..., holomorphic=True)`` has no meaning for them.
Where a part of the input is infinite, a part of the output may be nan, as in products of complex
numbers in NumPy.
"""

from __future__ import annotations

import math

from flaxact._lazy import jax, jnp
from flaxact.activations._define import activation
from flaxact.activations._grad import keeps_input, keeps_output
from flaxact.activations._numerics import finite
from flaxact.activations.rectified import relu

INF = math.inf


def _quarter(z: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """A quarter of a number's parts and of its size, which then does not overflow."""
    z = finite(z) * 0.25
    return jnp.real(z), jnp.imag(z), jnp.abs(z)


def _scaled(z: jax.Array, share: jax.Array) -> jax.Array:
    # Not part by part: XLA would keep the parts for the backward pass.
    return share.astype(z.dtype) * z


@keeps_output(lambda y, bias: jnp.where((y == 0) & (bias < 0), 0, 1).astype(y.dtype))
def _real_modrelu(x: jax.Array, bias: float | jax.Array) -> jax.Array:
    return jnp.where((abs(x) + bias <= 0) & (bias < 0), 0, x + jnp.sign(x) * bias)


@keeps_input()
def _complex_modrelu(z: jax.Array, bias: float | jax.Array) -> jax.Array:
    _, _, size = _quarter(z)
    left = size + bias / 4
    return _scaled(z, jnp.where(left > 0, left, 0) / jnp.where(size > 0, size, 1))


@activation(
    r"\max(|z| + b, 0) \, \frac{z}{|z|}",
    source="arjovsky2016unitary",
    range=(-INF, INF),
    kinks=lambda bias: (bias, -bias) if bias < 0 else (),
    jumps=lambda bias: (0.0,) if bias > 0 else (),
    learned=("bias",),
    per_channel=True,
    takes_complex=True,
    note="Some libraries subtract the bias; here and in the paper it is added. It starts at 0, as the "
    "identity. 0 stays 0.",
)
def modrelu(x: jax.Array, bias: float = 0.0) -> jax.Array:
    """modReLU: the size of a complex number is shifted by a bias and rectified, its phase kept.

    Args:
      x: the input.
      bias: :math:`b`, real; a negative one makes a dead disk around 0. Learned, or a number.

    >>> modrelu(jnp.array([3 + 4j, 0.3 + 0.4j]), -1.0)
    Array([2.4+3.2j, 0. +0.j ], dtype=complex64)
    >>> modrelu(jnp.array([-3.0, 0.5]), -1.0)
    Array([-2.,  0.], dtype=float32)
    """
    return (_complex_modrelu if jnp.iscomplexobj(x) else _real_modrelu)(x, bias)


@keeps_input()
def _complex_zrelu(z: jax.Array) -> jax.Array:
    re = jnp.real(z)
    im = jnp.imag(z)
    inside = (re >= 0) & (im >= 0) & ((re > 0) | (im > 0))
    return jnp.where(inside | jnp.isnan(z), z, 0)


@activation(
    r"z \text{ if } 0 \leq \operatorname{arg} z \leq \pi / 2 \text{ else } 0",
    source="guberman2016complex",
    range=(0.0, INF),
    kinks=(0.0,),
    takes_complex=True,
    note="On the real numbers it is relu. The derivative at 0 is 0.",
)
def zrelu(x: jax.Array) -> jax.Array:
    """zReLU: complex numbers with neither part negative pass, all others become 0.

    >>> zrelu(jnp.array([1 + 2j, 1 - 2j, -1 + 2j]))
    Array([1.+2.j, 0.+0.j, 0.+0.j], dtype=complex64)
    """
    return _complex_zrelu(x) if jnp.iscomplexobj(x) else relu(x)


@keeps_input()
def _complex_cardioid(z: jax.Array) -> jax.Array:
    re, im, size = _quarter(z)
    # Half of one plus the cosine, written so that nothing cancels left of the imaginary axis.
    left = re < 0
    double = 2 * jnp.where(size > 0, size, 1)
    mirrored = im / jnp.where(left, size - re, 1) * im
    return _scaled(z, jnp.where(left, mirrored, size + re) / double)


@activation(
    r"\tfrac{1}{2} (1 + \cos \operatorname{arg} z) \, z",
    source="virtue2017better",
    range=(0.0, INF),
    kinks=(0.0,),
    takes_complex=True,
    aliases=("complex_cardioid",),
    note="On the real numbers it is relu. The derivative at 0 is 0.",
)
def cardioid(x: jax.Array) -> jax.Array:
    """Complex cardioid: a complex number shrinks the more, the further its phase is from 0.

    >>> abs(cardioid(jnp.array([2 + 0j, 2j, -2 + 0j])))
    Array([2., 1., 0.], dtype=float32)
    """
    return _complex_cardioid(x) if jnp.iscomplexobj(x) else relu(x)


@activation(
    r"\max(\mathrm{Re}\, z, 0) + i \max(\mathrm{Im}\, z, 0)",
    source="trabelsi2018deep",
    range=(0.0, INF),
    kinks=(0.0,),
    takes_complex=True,
    note="The paper calls it CReLU, a name that concatenated ReLU has here. On the real numbers it is "
    "relu.",
)
def complex_relu(x: jax.Array) -> jax.Array:
    """ReLU of the real and of the imaginary part.

    >>> complex_relu(jnp.array([1 + 2j, 1 - 2j, -1 + 2j]))
    Array([1.+2.j, 1.+0.j, 0.+2.j], dtype=complex64)
    """
    if not jnp.iscomplexobj(x):
        return relu(x)
    return jax.lax.complex(relu(jnp.real(x)), relu(jnp.imag(x)))
