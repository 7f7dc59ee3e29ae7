"""Residual nets: He et al.'s for CIFAR-10 and for ImageNet."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from flaxact import initializers
from flaxact.errors import InputError
from flaxact.layers import max_pool
from flaxact.models._arguments import Norm
from flaxact.models._zoo import ZooModel

SOURCE = "he2016resnet"
INPUT = {"*": (32, 32, 3), "resnet18": (224, 224, 3), "resnet50": (224, 224, 3)}
FAMILY = "residual"
PRESETS = {
    "resnet20": {"depth": 20},
    "resnet56": {"depth": 56},
    "resnet18": {"depth": 18, "num_classes": 1000},
    "resnet50": {"depth": 50, "num_classes": 1000},
}
CHOICES = {
    "depth": (8, 20, 32, 44, 56, 110, 18, 34, 50, 101),
    "shortcut": ("published", "padded", "projected"),
}
IMAGENET = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


class ResNet(ZooModel):
    """Blocks of two or three convolutions whose output is added to their input.

    Images (batch, height, width, channels), pixels from 0 to 255 → logits (batch, num_classes). With
    ten classes and 3 channels ``resnet20`` has 269,722 parameters and ``resnet56`` 853,018 (0.27 and
    0.85 million in He et al. 2016, table 6); with 1000 classes ``resnet18`` 11,689,512 and ``resnet50``
    25,557,032, as torchvision's. These counts include the scales and biases of batch normalization.

    Depths 6n + 2 are those of §4.2: three stages of n blocks with 16, 32 and 64 filters, shortcuts
    without parameters. Depths 18, 34, 50 and 101 are those of table 1, with a stem of 7×7 and a pooling,
    four stages, and projections where the shape changes; from 50 on a block is 1×1, 3×3, 1×1, and the
    3×3 has the stride, as in torchvision (in the paper, the first 1×1). Convolutions have no bias where
    a normalization follows. Weights are Gaussian with He's standard deviation over fan-out, as in the
    authors' later code, logits' uniform within 1/√n, PyTorch's default, which that code kept. Images
    are standardized by channel, as in that code; the paper subtracts a mean image.

    Sites: ``act_stem``; in stage s, block b, ``act{s}_{b}_a`` (and ``_b``) inside, and ``act{s}_{b}_out``
    after the addition. Activations after the addition must keep the width: ``{"*_out": "relu", "*":
    "glu"}``. With ``matched=parameters`` the number of parameters stays within about 5 %: where the
    shape changes, the layers beside a site are of different sizes.

    Attributes:
      depth: number of layers with weights on the longest path.
      shortcut: where the shape changes, ``padded``: every second pixel, and zeros for the channels
        that are missing (option A); ``projected``: a convolution of 1×1 (option B); or as ``published``.
    """

    norm: Norm = "batch"
    depth: int = 20
    shortcut: str = "published"

    @property
    def in_residual_stream(self) -> bool:
        """Whether activations lie between layers of the residual stream; False for bottleneck blocks."""
        return not self._bottleneck

    @property
    def _bottleneck(self) -> bool:
        return self.depth in (50, 101)

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Images to logits."""
        large = self.depth in IMAGENET
        x = self._conv(
            self.standardize_channels(x), 64 if large else 16, (7, 2) if large else (3, 1), "_stem"
        )
        x = self.activate(x, "act_stem", train=train)
        if (
            large
        ):  # padded below and at the left only: as PyTorch's padding of 1, whose last row is cut
            x = jnp.pad(x, ((0, 0), (1, 0), (1, 0), (0, 0)), constant_values=-jnp.inf)
            x = max_pool(x, 3, stride=2)
        for stage, blocks in enumerate(IMAGENET.get(self.depth, ((self.depth - 2) // 6,) * 3), 1):
            for block in range(1, blocks + 1):
                stride = 2 if stage > 1 and block == 1 else 1
                features = (64 if large else 16) * 2 ** (stage - 1)
                x = self._block(x, features, stride, f"{stage}_{block}", train=train)
        x = self.drop(x.mean(axis=(1, 2)), 0, train=train)
        return self.output_layer(
            x, init=nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
        )

    def _block(
        self, x: jax.Array, features: int, stride: int, place: str, *, train: bool
    ) -> jax.Array:
        bottleneck = self._bottleneck
        out = 4 * features if bottleneck else features
        skip = self._skip(x, out, stride, place, train=train)
        skip = self.check_width_kept(skip, f"act{place}_out")
        inner = [(1, 1), (3, stride)] if bottleneck else [(3, stride)]
        for letter, window in zip("ab", inner, strict=False):
            x = self._conv(x, features, window, f"{place}_{letter}")
            x = self.activate(x, f"act{place}_{letter}", train=train)
        x = self._conv(x, out, (1 if bottleneck else 3, 1), f"{place}_out")
        return self.activate(x, f"act{place}_out", train=train, skip=skip)

    def _conv(self, x: jax.Array, features: int, window: tuple[int, int], place: str) -> jax.Array:
        """The convolution before a site, padded as in PyTorch."""
        size, stride = window
        beyond = (size // 2, size // 2)
        return self.conv(
            x,
            features,
            size,
            stride=stride,
            padding=(beyond, beyond),
            name=f"conv{place}",
            site=f"act{place}",
            init=initializers.he("fan_out"),
            bias=self.bias_unless_normalized,
        )

    def _skip(
        self, x: jax.Array, features: int, stride: int, place: str, *, train: bool
    ) -> jax.Array:
        missing = self.scale_width(features) - x.shape[-1]
        if stride == 1 and missing == 0:
            return x
        published = "projected" if self.depth in IMAGENET else "padded"
        if (published if self.shortcut == "published" else self.shortcut) == "projected":
            x = self.conv(
                x,
                features,
                1,
                stride=stride,
                name=f"conv{place}_skip",
                init=initializers.he("fan_out"),
                bias=self.bias_unless_normalized,
            )
            return self.normalize(x, f"norm{place}_skip", train=train)
        if missing < 0:
            raise InputError(
                f"the padded shortcut at act{place}_out takes {self.scale_width(features)} "
                f"channels, and the stem outputs {x.shape[-1]}: use matched=width or "
                "shortcut=projected"
            )
        return jnp.pad(x[:, ::stride, ::stride], ((0, 0), (0, 0), (0, 0), (0, missing)))


Model = ResNet
