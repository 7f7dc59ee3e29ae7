"""SmallNet, the CIFAR-100 net of Trottier et al. 2017 (PELU) and Qiu, Xu & Cai 2018 (FReLU)."""

from __future__ import annotations

import jax
from flax import linen as nn

from flaxact.initializers import he
from flaxact.layers import max_pool
from flaxact.models._zoo import ZooModel

SOURCE = "qiu2018frelu"
INPUT = (32, 32, 3)
FAMILY = "convolutional"


class SmallNet(ZooModel):
    """Three convolutions of 3 × 3, each with a pooling, and a dense layer of 512.

    Images (batch, height, width, channels) of any size, pixels from 0 to 255 → logits (batch,
    num_classes). On CIFAR-100 1,193,412 parameters.

    Layers and dropout (0.2 after each pooling, 0.5 after the dense layer) are of the FReLU authors' code
    (github.com/kyuusaku/frelu.torch, models/pelu-smallnet-*.lua). With cuDNN 4 or later, that code
    has no biases in convolutions, with and without batch normalization; the same here. Convolutions
    are initialized as in He et al. 2015 with fan-out; dense layers as in Torch, uniform within
    1/√fan-in; biases are 0. Images are standardized by channel.
    """

    num_classes: int = 100

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Images to logits."""
        x = self.standardize_channels(x)
        for place, features in enumerate((32, 64, 128), 1):
            name = f"conv{place}"
            site = f"act{place}"
            x = self.conv(x, features, 3, name=name, site=site, init=he("fan_out"), bias=None)
            x = max_pool(self.activate(x, site, train=train), 2, 2)
            x = self.drop(x, 0.2, train=train)
        weights = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
        x = self.dense(x, 512, name="fc4", site="act4", init=weights)
        x = self.drop(self.activate(x, "act4", train=train), 0.5, train=train)
        return self.output_layer(x, name="fc5", init=weights)


Model = SmallNet
