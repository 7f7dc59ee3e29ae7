"""NNX: the same door for an activation as ``flaxact.layers`` has for Linen."""

from __future__ import annotations

import jax
from flax import nnx

from flaxact.activations import Activation, get


class Act(nnx.Module):
    """A site of an activation in an NNX module.

    >>> Act("relu")(jax.numpy.array([-1.0, 2.0]))
    Array([0., 2.], dtype=float32)
    """

    def __init__(self, act: Activation | str):
        """``act``: an ``Activation``, a name or a spec text."""
        self.act = get(act)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Apply the activation: any shape, floating dtype; both are kept."""
        return self.act(x)
