"""Network in Network, Lin, Chen & Yan 2014: the CIFAR-10 net."""

from __future__ import annotations

import jax
from flax import linen as nn

from flaxact.layers import avg_pool, max_pool
from flaxact.models._parts import class_maps
from flaxact.models._zoo import ZooModel

SOURCE = "lin2014nin"
INPUT = (32, 32, 3)
FAMILY = "convolutional"
PRESETS = {"nin": {}}
CHOICES = {"second_pool": ("avg", "max")}

_WEIGHTS = nn.initializers.normal(0.05)


class NetworkInNetwork(ZooModel):
    """Three convolutions, each followed by two of 1 × 1, and the mean of a map for each class.

    Images (batch, height, width, channels) of any size, pixels from 0 to 255 → logits (batch,
    num_classes). On CIFAR-10 966,986 parameters.

    The layers, dropout of 0.5 after both poolings and Gaussian weights of standard deviation 0.05
    follow the authors' cuda-convnet file (github.com/mavenlin/cuda-convnet, NIN/cifar-10_def), the
    second pooling, a mean, follows their later Caffe version, as most copies do; in the file it is
    a maximum. An activation follows every layer, also the last. An activation that
    changes the width must give as many maps as there are classes. Lin et al. whiten the images (ZCA
    after global contrast normalization); here they are standardized by channel.

    Attributes:
      second_pool: ``avg`` or ``max``.
    """

    second_pool: str = "avg"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Images to logits."""
        second_pool = {"avg": avg_pool, "max": max_pool}[self.second_pool]
        x = self._mlpconv(self.standardize_channels(x), (192, 160, 96), 5, train, first=1)
        x = self.drop(max_pool(x, 3, 2), 0.5, train=train)
        x = self._mlpconv(x, (192, 192, 192), 5, train, first=4)
        x = self.drop(second_pool(x, 3, 2), 0.5, train=train)
        x = self._mlpconv(x, (192, 192), 3, train, first=7)
        x = class_maps(self, x, name="conv9", site="act9", init=_WEIGHTS)
        return self.activate(x, "act9", train=train).mean((1, 2))

    def _mlpconv(
        self, x: jax.Array, widths: tuple[int, ...], size: int, train: bool, *, first: int
    ) -> jax.Array:
        for place, features in enumerate(widths, first):
            window = size if place == first else 1
            site = f"act{place}"
            x = self.conv(x, features, window, name=f"conv{place}", site=site, init=_WEIGHTS)
            x = self.activate(x, site, train=train)
        return x


Model = NetworkInNetwork
