"""CaffeNet at 128 pixels, on which Mishkin et al. compared activations, and much else."""

from __future__ import annotations

from typing import Unpack

import jax
from flax import linen as nn

from flaxact.layers import max_pool
from flaxact.models._arguments import ConvShape, KernelInit
from flaxact.models.alexnet import InGroups

SOURCE = "mishkin2016systematic"
INPUT = (128, 128, 3)
FAMILY = "alexnet"
CHOICES = {"pooling": ("max", "stride"), "first": ("11x11", "3x3")}


class CaffeNet128(InGroups):
    """AlexNet with hidden dense layers of 2048 and without response normalization.

    Images (batch, height, width, channels) of color or gray, 11 × 11 pixels or more, values from 0 to
    255, channels in the order RGB → logits (batch, num_classes). 13,300,072 parameters for images of
    128 × 128 × 3 and 1000 classes.

    The layers of caffenet-benchmark's prototxt files (Mishkin et al. 2017, Table 2): the mean (104,
    117, 124 of Caffe's order BGR) is subtracted and the rest multiplied by 0.04; initialized by LSUV,
    with ``kernel_init="paper"`` from the Gaussians of the files (standard deviation 0.01, and 0.005 of
    the hidden dense layers); biases 0; dropout 0.5 after both hidden dense layers. The paper's rows
    with batch normalization after the activation are ``norm="batch", norm_place="after",
    norm_affine=False``: without scale and bias.

    With ``maxout`` and ``matched="parameters"`` the layers have the widths of the paper's row
    "maxout, √2 narrower" (68, 182, 272, 272, ·, 1448, 1448 after it) except for the fifth layer,
    which has 172 in that row and 182 here. As in AlexNet ``glu`` and ``crelu`` pair the two groups.

    Attributes:
      pooling: ``max``; or ``stride`` for the paper's row "no max pooling", in which convolutions 2,
        3 and 5 have stride 2 instead. The net then has 16,970,088 parameters, because 4 × 4
        positions are left before the dense layers.
      first: convolution 1 is ``11x11`` with stride 4; or ``3x3`` with stride 1, for the paper's row
        of images of 32 × 32, with 13,267,816 parameters.
    """

    num_classes: int = 1000
    kernel_init: KernelInit = "lsuv"
    pooling: str = "max"
    first: str = "11x11"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Images to logits."""
        pooled = self.pooling == "max"
        pool = (lambda x: max_pool(x, 3, stride=2)) if pooled else (lambda x: x)
        stride = 1 if pooled else 2
        x = self.normalize_with(
            self.check_image_size(x, 11), (124.0, 117.0, 104.0), (25.0, 25.0, 25.0)
        )
        size, first_stride = (11, 4) if self.first == "11x11" else (3, 1)
        x = pool(self._conv(x, 96, size, 1, train=train, stride=first_stride, padding="VALID"))
        x = pool(self._conv(x, 256, 5, 2, train=train, stride=stride, groups=2))
        x = self._conv(x, 384, 3, 3, train=train, stride=stride)
        x = self._conv(x, 384, 3, 4, train=train, groups=2)
        x = pool(self._conv(x, 256, 3, 5, train=train, stride=stride, groups=2))
        for place in (6, 7):
            site = f"act{place}"
            weights = nn.initializers.normal(0.005)
            x = self.dense(x, 2048, name=f"fc{place}", site=site, init=weights)
            x = self.drop(self.activate(x, site, train=train), 0.5, train=train)
        return self.output_layer(x, init=nn.initializers.normal(0.01))

    def _conv(
        self,
        x: jax.Array,
        features: int,
        size: int,
        place: int,
        train: bool,
        **shape: Unpack[ConvShape],
    ) -> jax.Array:
        site = f"act{place}"
        half = size // 2
        # Padded as in Caffe, with a stride too.
        padded: ConvShape = {"padding": ((half, half), (half, half)), **shape}
        weights = nn.initializers.normal(0.01)
        x = self.conv(x, features, size, name=f"conv{place}", site=site, init=weights, **padded)
        return self.activate(x, site, train=train)


Model = CaffeNet128
