"""The CIFAR-100 nets of Clevert, Unterthiner & Hochreiter 2016."""

from __future__ import annotations

import jax
from flax import linen as nn

from flaxact.initializers import he
from flaxact.layers import max_pool
from flaxact.models._parts import class_maps
from flaxact.models._zoo import ZooModel

SOURCE = "clevert2015elu"
INPUT = (32, 32, 3)
FAMILY = "convolutional"
PRESETS = {"elu_net11": {"depth": 11}, "elu_net18": {"depth": 18}}
CHOICES = {"depth": (11, 18)}

# Stacks of (layers, maps, window), as the paper writes them; the last one gives the classes.
_STACKS = {
    11: (
        ((1, 192, 5),),
        ((1, 192, 1), (1, 240, 3)),
        ((1, 240, 1), (1, 260, 2)),
        ((1, 260, 1), (1, 280, 2)),
        ((1, 280, 1), (1, 300, 2)),
        ((1, 300, 1),),
    ),
    18: (
        ((1, 384, 3),),
        ((1, 384, 1), (1, 384, 2), (2, 640, 2)),
        ((1, 640, 1), (3, 768, 2)),
        ((1, 768, 1), (2, 896, 2)),
        ((1, 896, 3), (2, 1024, 2)),
        ((1, 1024, 1), (1, 1152, 2)),
        ((1, 1152, 1),),
    ),
}
_DROPOUT = (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0)


class ELUNet(ZooModel):
    """Stacks of convolutions, each with a pooling of 2 × 2 at its end, and a map for each class.

    Images (batch, height, width, channels) of any size, pixels from 0 to 255 → logits (batch,
    num_classes). With 100 classes 1,669,028 parameters (§4.2, "Comparison of activation functions":
    11 convolutions, including the one for the class maps) and 39,330,404 (§4.3: 18, and one for the
    class maps).

    Dropout at the end of each stack: 0, 0.1, 0.2, 0.3, 0.4, 0.5, 0. The paper does not say how layers
    are padded: here maps keep their size, so that five poolings leave one pixel; the maps of larger
    images are averaged. The paper does not say how the weights of these nets are initialized: here
    as in He et al. 2015. The paper whitens images (ZCA after global contrast normalization); here
    they are standardized by channel. The longer net's fine-tuning with more dropout is left to
    ``dropout``.

    Attributes:
      depth: 11 or 18.
    """

    num_classes: int = 100
    depth: int = 11

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Images to logits."""
        x = self.standardize_channels(x)
        place = 0
        for stack, rate in zip(_STACKS[self.depth], _DROPOUT, strict=False):
            for features, size in ((f, s) for layers, f, s in stack for _ in range(layers)):
                place += 1
                site = f"act{place}"
                x = self.conv(x, features, size, name=f"conv{place}", site=site, init=he())
                x = self.activate(x, site, train=train)
            x = max_pool(x, 2, 2)
            x = self.drop(x, rate, train=train) if rate else x
        return class_maps(self, x, name=f"conv{place + 1}", init=he()).mean((1, 2))


Model = ELUNet
