"""AlexNet, the net that won ImageNet 2012, with its two groups and its response normalization."""

from __future__ import annotations

from typing import Unpack

import jax
from flax import linen as nn

from flaxact.layers import cross_map_response_norm, max_pool
from flaxact.models._arguments import ConvShape
from flaxact.models._zoo import ZooModel

SOURCE = "krizhevsky2012alexnet"
INPUT = (227, 227, 3)
FAMILY = "alexnet"


class InGroups(ZooModel):
    """A net with convolutions in two groups, so every scaled width is even."""

    def scale_width(self, features: int) -> int:
        """A number of filters or hidden units, multiplied by the width and rounded to an even number."""
        return 2 * max(1, round(self.width * features / 2))

    def features_before(self, site: str, features: int, groups: int = 2) -> int:
        """Like ``ZooModel.features_before``; by default a multiple of two groups."""
        return super().features_before(site, features, max(2, groups))


class AlexNet(InGroups):
    """Five convolutions and three dense layers.

    Images (batch, height, width, channels) of 11 × 11 pixels or more, values from 0 to 255 → logits
    (batch, num_classes). 60,965,224 parameters for images of 227 × 227 × 3 and 1000 classes.

    Krizhevsky et al. 2012, §3.5 and Figure 2: convolutions 2, 4 and 5 in two groups, one for each of
    the two graphics cards; response normalization after the first two activations (§3.3: k = 2, n = 5,
    α = 10⁻⁴, β = 0.75); overlapping poolings (§3.4). The per-pixel mean of the images given at
    initialization is subtracted (§2). Weights are Gaussian with standard deviation 0.01; biases are
    1 in convolutions 2, 4 and 5 and in the hidden dense layers, else 0 (§5). Dropout 0.5 on both
    hidden dense layers (§4.2).

    The paper says 224 pixels, but stride 4 gives its 55 × 55 outputs only for 227. The paper does
    not say whether a response normalization sums over the maps of both groups; here it does, as in
    the printed formula. Activations that pair the two halves of the channels (``glu``, ``crelu``)
    pair the groups.
    """

    num_classes: int = 1000

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Images to logits."""
        x = self.subtract_mean_image(self.check_image_size(x, 11))
        x = self._conv(x, 96, 11, 1, train=train, stride=4, padding="VALID")
        x = max_pool(_respond(x), 3, stride=2)
        x = self._conv(x, 256, 5, 2, train=train, bias=1.0, groups=2)
        x = max_pool(_respond(x), 3, stride=2)
        x = self._conv(x, 384, 3, 3, train=train)
        x = self._conv(x, 384, 3, 4, train=train, bias=1.0, groups=2)
        x = self._conv(x, 256, 3, 5, train=train, bias=1.0, groups=2)
        x = max_pool(x, 3, stride=2)
        weights = nn.initializers.normal(0.01)
        for place in (6, 7):
            site = f"act{place}"
            x = self.dense(x, 4096, name=f"fc{place}", site=site, init=weights, bias=1.0)
            x = self.drop(self.activate(x, site, train=train), 0.5, train=train)
        return self.output_layer(x, init=weights)

    def _conv(
        self,
        x: jax.Array,
        features: int,
        size: int,
        place: int,
        train: bool,
        bias: float = 0.0,
        **shape: Unpack[ConvShape],
    ) -> jax.Array:
        site = f"act{place}"
        weights = nn.initializers.normal(0.01)
        name = f"conv{place}"
        x = self.conv(x, features, size, name=name, site=site, init=weights, bias=bias, **shape)
        return self.activate(x, site, train=train)


def _respond(x: jax.Array) -> jax.Array:
    return cross_map_response_norm(x, 5, scale=5 * 1e-4, bias=2.0)  # α is not divided by n


Model = AlexNet
