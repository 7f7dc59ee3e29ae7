"""VGG nets, Simonyan & Zisserman 2015, as TorchVision builds them."""

from __future__ import annotations

import jax
from flax import linen as nn

from flaxact.initializers import he
from flaxact.layers import Act, adaptive_avg_pool, max_pool
from flaxact.models._zoo import ZooModel

SOURCE = "simonyan2015vgg"
INPUT = (224, 224, 3)
FAMILY = "convolutional"
PRESETS = {
    "vgg11": {"depth": 11},
    "vgg13": {"depth": 13},
    "vgg16": {"depth": 16},
    "vgg19": {"depth": 19},
    "vgg11_bn": {"depth": 11, "norm": "batch"},
    "vgg13_bn": {"depth": 13, "norm": "batch"},
    "vgg16_bn": {"depth": 16, "norm": "batch"},
    "vgg19_bn": {"depth": 19, "norm": "batch"},
}
CHOICES = {"depth": (11, 13, 16, 19)}

# Convolutions before each of the five poolings: configurations A, B, D and E of Table 1.
_STAGES = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


class VGG(ZooModel):
    """Convolutions of 3 × 3 in five stages, each with a pooling at its end, and three dense layers.

    Images (batch, height, width, channels) of any size, pixels from 0 to 255 → logits (batch,
    num_classes). With 1000 classes and 3 channels 132,863,336, 133,047,848, 138,357,544 and 143,667,240
    parameters (11, 13, 16, 19 layers); with batch normalization 132,868,840, 133,053,736, 138,365,992
    and 143,678,248: TorchVision's counts.

    Dropout of 0.5 after both hidden dense layers. As in TorchVision, means over 7 × 7 cells precede the
    dense layers, so that images may have any size, normalization is of the convolutions only, which
    keep their biases, and weights are Gaussian: of variance 2 / fan-out in convolutions, of standard
    deviation 0.01 in dense layers. (The paper starts deep nets from shallow ones that were trained.)
    Images are standardized by channel. Windows of poolings are clipped at the border, where TorchVision
    drops them, so the nets differ for image sizes that 32 does not divide.

    Attributes:
      depth: layers with weights: 11, 13, 16 or 19.
    """

    num_classes: int = 1000
    depth: int = 16

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Images to logits."""
        x = self.standardize_channels(x)
        for stage, layers in enumerate(_STAGES[self.depth], 1):
            features = min(512, 32 * 2**stage)
            for place in (f"{stage}_{layer + 1}" for layer in range(layers)):
                site = f"act{place}"
                x = self.conv(
                    x,
                    features,
                    3,
                    name=f"conv{place}",
                    site=site,
                    init=he("fan_out"),
                    padding=((1, 1), (1, 1)),
                )
                x = self.activate(x, site, train=train)
            x = max_pool(x, 2, 2)
        x = adaptive_avg_pool(x, 7)
        weights = nn.initializers.normal(0.01)
        for place in (6, 7):
            x = self.dense(x, 4096, name=f"fc{place}", site=f"act{place}", init=weights)
            x = Act(self.activation_at(f"act{place}"), name=f"act{place}")(x)
            x = self.drop(x, 0.5, train=train)
        return self.output_layer(x, name="fc8", init=weights)

    def torchvision_layers(self) -> dict[str, str]:
        """The name of each layer's weights in TorchVision's state dict, in call order."""
        names = {}
        place = 0
        batch = self.norm == "batch"
        for stage, layers in enumerate(_STAGES[self.depth], 1):
            for layer in (f"{stage}_{i + 1}" for i in range(layers)):
                names[f"conv{layer}"] = f"features.{place}"
                if batch:
                    names[f"norm{layer}"] = f"features.{place + 1}"
                place += 3 if batch else 2
            place += 1  # the pooling
        return names | {"fc6": "classifier.0", "fc7": "classifier.3", "fc8": "classifier.6"}


Model = VGG
