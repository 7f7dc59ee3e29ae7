"""SqueezeNet with batch normalization for CIFAR-10: the net of the Mish paper's table."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from flaxact.errors import InputError
from flaxact.layers import max_pool
from flaxact.models._arguments import Norm
from flaxact.models._parts import class_maps, within
from flaxact.models._zoo import ZooModel

SOURCE = "misra2019mish"
INPUT = (32, 32, 3)
FAMILY = "convolutional"

# Maps after each fire module, and between its layers.
_FIRES = {2: (128, 16), 3: (128, 16), 4: (256, 32), 5: (256, 32),
          6: (384, 48), 7: (384, 48), 8: (512, 64), 9: (512, 64)}  # fmt: skip
_SKIPPED = (3, 5, 7)
_POOLED = (4, 8)


class SqueezeNetBN(ZooModel):
    """A convolution, eight fire modules, three of them with a skip connection, and a map for each class.

    Images (batch, height, width, channels) of any size, pixels from 0 to 255 → logits (batch,
    num_classes). On CIFAR-10 734,986 parameters.

    Misra's table names no layers; these are of the repository's notebook (github.com/digantamisra98/
    Mish, Notebooks/cifar-10-squeezenet-mish.ipynb), after Iandola et al. 2016 with simple bypass. A
    fire module squeezes by a convolution of 1 × 1 and expands by one of 1 × 1 beside one of 3 × 3;
    normalization and activation follow each. Convolutions have biases in spite of batch
    normalization. Weights and biases start as in PyTorch, uniform within 1/√fan-in. Pixels go from
    -1 to 1. No dropout.

    With an activation that changes the width, the layers before it are wider or narrower so that
    its output has the published width (``matched="width"``). A branch that is added to a skip
    connection must have the width of the skip.
    """

    norm: Norm = "batch"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Images to logits."""
        x = self.normalize_with(x, (127.5,) * x.shape[-1], (127.5,) * x.shape[-1])
        x = max_pool(self._layer(x, 96, 3, "1", train=train), 2, 2)
        for place, (features, between) in _FIRES.items():
            skip = x
            x = self._layer(x, between, 1, f"{place}_squeeze", train=train)
            wide = (
                self._layer(x, features // 2, 1, f"{place}_expand1", train=train),
                self._layer(x, features // 2, 3, f"{place}_expand3", train=train),
            )
            x = jnp.concatenate(wide, axis=-1)
            if place in _SKIPPED:
                x = x + self._fitting(skip, x.shape[-1], place)
            if place in _POOLED:
                x = max_pool(x, 2, 2)
        x = class_maps(self, self.drop(x, 0, train=train), name="conv10", init=_TORCH)
        return x.mean((1, 2))

    def _layer(self, x: jax.Array, features: int, size: int, place: str, train: bool) -> jax.Array:
        site = f"act{place}"
        fan_in = size * size * x.shape[-1]
        bias = within(fan_in**-0.5)
        x = self.conv(x, features, size, name=f"conv{place}", site=site, init=_TORCH, bias=bias)
        return self.activate(x, site, train=train)

    def _fitting(self, skip: jax.Array, width: int, place: int) -> jax.Array:
        if skip.shape[-1] != width:
            raise InputError(
                f"SqueezeNetBN cannot add the skip past fire module {place}: it has {skip.shape[-1]} "
                f"channels, and act{place}_expand1 and act{place}_expand3 together give {width}"
            )
        return skip


_TORCH = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
Model = SqueezeNetBN
