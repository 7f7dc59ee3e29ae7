"""The AlexNet of "One weird trick": one column, as TorchVision has it and as cuda-convnet2 had it."""

from __future__ import annotations

from typing import Unpack

import jax
from flax import linen as nn

from flaxact.errors import InputError
from flaxact.layers import adaptive_avg_pool, cross_map_response_norm, max_pool
from flaxact.models._arguments import ConvShape
from flaxact.models._zoo import ZooModel

SOURCE = "krizhevsky2014weird"
INPUT = (224, 224, 3)
FAMILY = "alexnet"
PRESETS = {"alexnet_cuda_convnet2": {"variant": "cuda_convnet2"}, "alexnet_torchvision": {}}
CHOICES = {"variant": ("torchvision", "cuda_convnet2")}

_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)  # of ImageNet's pixels, as TorchVision normalizes
_STD = (0.229 * 255, 0.224 * 255, 0.225 * 255)
# torch's default for a layer, which TorchVision leaves as it is: uniform within ±1/√fan-in.
_TORCH = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


class AlexNetOneWeirdTrick(ZooModel):
    """Five convolutions and three dense layers, without groups.

    Images (batch, height, width, channels), values from 0 to 255 → logits (batch, num_classes).
    61,100,840 parameters for images of 224 × 224 × 3 and 1000 classes, in both variants.

    ``torchvision``: ``torchvision.models.alexnet``, which has no response normalization and drops
    the inputs of both hidden dense layers. Images, of color or gray and 7 × 7 or more, are
    normalized with ImageNet's mean and standard deviation; before the dense layers they are
    averaged to 6 × 6, so that their size changes no parameter. Weights are drawn as torch does by
    default; biases are 0 (torch draws them too). ``flaxact.models.load_torchvision`` reads its
    weights.

    ``cuda_convnet2``: layers-imagenet-1gpu.cfg, with response normalization (before the activation
    in the first layer, after it in the second), the first and fifth activation after their pooling,
    weights and biases (1, and -7 of the logits) as in that file, and dropout after the hidden dense
    layers. The mean image of the images at initialization is subtracted.

    Attributes:
      variant: ``torchvision`` or ``cuda_convnet2``.
    """

    num_classes: int = 1000
    variant: str = "torchvision"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Images to logits."""
        return (self._torchvision if self.variant == "torchvision" else self._cuda)(x, train)

    def torchvision_layers(self) -> dict[str, str]:
        """The name of each layer's weights in TorchVision's state dict, in call order.

        Raises:
          InputError: the variant that TorchVision has no weights for.
        """
        if self.variant != "torchvision":
            raise InputError(
                "TorchVision has weights for alexnet_one_weird_trick, not alexnet_cuda_convnet2"
            )
        convolutions = {f"conv{i}": f"features.{at}" for i, at in enumerate((0, 3, 6, 8, 10), 1)}
        dense = {"fc6": "classifier.1", "fc7": "classifier.4", "logits": "classifier.6"}
        return convolutions | dense

    def _torchvision(self, x: jax.Array, train: bool) -> jax.Array:
        x = self.normalize_with(self.check_image_size(x, 7), _MEAN, _STD)
        x = self._conv(x, 64, 11, 1, stride=4, padding=((2, 2), (2, 2)))
        x = _whole_windows(self.activate(x, "act1", train=train))
        x = self.activate(self._conv(x, 192, 5, 2), "act2", train=train)
        x = _whole_windows(x)
        x = self.activate(self._conv(x, 384, 3, 3), "act3", train=train)
        x = self.activate(self._conv(x, 256, 3, 4), "act4", train=train)
        x = self.activate(self._conv(x, 256, 3, 5), "act5", train=train)
        x = adaptive_avg_pool(_whole_windows(x), 6)
        for place in (6, 7):
            x = self.drop(x, 0.5, train=train)
            site = f"act{place}"
            x = self.dense(x, 4096, name=f"fc{place}", site=site, init=_TORCH)
            x = self.activate(x, site, train=train)
        return self.output_layer(x, init=_TORCH)

    def _cuda(self, x: jax.Array, train: bool) -> jax.Array:
        x = self.subtract_mean_image(x)
        # cuda-convnet's last window of a stride may reach beyond the image.
        high, wide = ((0, max(11 - n, -(n - 11) % 4)) for n in x.shape[1:3])
        x = _respond(self._conv(x, 64, 11, 1, std=0.01, stride=4, padding=(high, wide)))
        x = self.activate(max_pool(x, 3, stride=2), "act1", train=train)
        x = self._conv(x, 192, 5, 2, std=0.01, bias=1.0)
        x = max_pool(_respond(self.activate(x, "act2", train=train)), 3, stride=2)
        x = self.activate(self._conv(x, 384, 3, 3, std=0.03), "act3", train=train)
        x = self.activate(self._conv(x, 256, 3, 4, std=0.03, bias=1.0), "act4", train=train)
        x = max_pool(self._conv(x, 256, 3, 5, std=0.03, bias=1.0), 3, stride=2)
        x = self.activate(x, "act5", train=train)
        weights = nn.initializers.normal(0.01)
        for place in (6, 7):
            site = f"act{place}"
            x = self.dense(x, 4096, name=f"fc{place}", site=site, init=weights, bias=1.0)
            x = self.drop(self.activate(x, site, train=train), 0.5, train=train)
        return self.output_layer(x, init=weights, bias=-7.0)

    def _conv(
        self,
        x: jax.Array,
        features: int,
        size: int,
        place: int,
        std: float = 0,
        bias: float = 0.0,
        **shape: Unpack[ConvShape],
    ) -> jax.Array:
        init = nn.initializers.normal(std) if std else _TORCH
        name = f"conv{place}"
        site = f"act{place}"
        return self.conv(x, features, size, name=name, site=site, init=init, bias=bias, **shape)


def _respond(x: jax.Array) -> jax.Array:
    return cross_map_response_norm(x, 5, scale=1e-4, bias=2.0)


def _whole_windows(x: jax.Array) -> jax.Array:
    """Max pooling of 3 × 3 with stride 2, without clipped windows; at least one window."""
    height, width = (n - (n - 3) % 2 if n > 3 else n for n in x.shape[1:3])
    return max_pool(x[:, :height, :width], 3, stride=2)


Model = AlexNetOneWeirdTrick
