"""FitNet-4 as Mishkin & Matas 2016 train it, "All you need is a good init"."""

from __future__ import annotations

import jax
from flax import linen as nn

from flaxact.initializers import orthogonal
from flaxact.layers import max_pool
from flaxact.models._arguments import KernelInit
from flaxact.models._zoo import ZooModel

SOURCE = "mishkin2016lsuv"
INPUT = (32, 32, 3)
FAMILY = "convolutional"

_STAGES = ((32, 32, 32, 48, 48), (80,) * 6, (128,) * 6)


class FitNet4(ZooModel):
    """Seventeen convolutions of 3 × 3 in three stages, a dense layer of 500, the logits.

    Images (batch, height, width, channels) of any size, pixels from 0 to 255 → logits (batch,
    num_classes). On CIFAR-10 1,276,806 parameters; with ``maxout(pieces=2)``, as Romero et al. 2015 built
    the net, about twice as many.

    Layers and dropout of 0.2 (of the inputs, after each pooling and after the dense layer) follow
    the authors' Caffe files (github.com/ducha-aiki/LSUVinit, examples/lsuv/cifar10/fitnet4_relu_*).
    The last pooling is over the whole map. Weights are initialized by ``lsuv``, as the paper
    proposes, on the first images given at initialization; ``kernel_init="paper"`` has LSUV's
    orthonormal weights without its scaling, a row of Table 3. The authors normalize the contrast of
    images; here they are standardized by channel.
    """

    kernel_init: KernelInit = "lsuv"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Images to logits."""
        weights = orthogonal()
        x = self.drop(self.standardize_channels(x), 0.2, train=train)
        for stage, widths in enumerate(_STAGES, 1):
            for place, features in enumerate(widths, 1):
                name = f"conv{stage}_{place}"
                site = f"act{stage}_{place}"
                x = self.conv(x, features, 3, name=name, site=site, init=weights)
                x = self.activate(x, site, train=train)
            x = max_pool(x, 2, 2) if stage < 3 else x.max((1, 2))
            x = self.drop(x, 0.2, train=train)
        x = self.dense(x, 500, name="ip1", site="act4", init=weights)
        x = self.drop(self.activate(x, "act4", train=train), 0.2, train=train)
        return self.output_layer(x, name="clf", init=weights)


Model = FitNet4
