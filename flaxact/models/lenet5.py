"""LeNet-5, LeCun, Bottou, Bengio & Haffner 1998."""

from __future__ import annotations

import jax
from flax import linen as nn

from flaxact.layers import avg_pool
from flaxact.models._parts import within
from flaxact.models._zoo import ZooModel

SOURCE = "lecun1998gradient"
INPUT = (28, 28, 1)
FAMILY = "convolutional"
PRESETS = {"lenet": {}}


class LeNet5(ZooModel):
    r"""LeNet-5, §II.B, Fig. 2, as it is usually built today.

    Images (batch, height, width, channels) of 9 × 9 pixels or more, pixels from 0 to 255 → logits
    (batch, num_classes). On MNIST 61,706 parameters with 10 classes.

    Differences from the paper: C3 sees all six maps (in the paper, subsets of them: Table I); the
    sub-sampling layers are plain means (in the paper, each map has a factor and a bias, and a
    squashing function follows); and the ten outputs are linear (in the paper, distances to fixed
    codes of characters). The paper puts 28 × 28 digits into 32 × 32 images: here C1 pads by 2. Its
    activation is :math:`1.7159 \tanh(2x/3)`; its pixels go from -0.1 (background) to 1.175 (ink),
    to which pixels from 0 to 255 are scaled. Weights are uniform within ± 2.4 / fan-in (from
    memory, not checked against the paper); biases start at 0.
    """

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Images to logits."""
        channels = x.shape[-1]
        x = self.normalize_with(
            self.check_image_size(x, 9), (20.0,) * channels, (200.0,) * channels
        )
        x = self.conv(x, 6, 5, name="c1", site="act1", init=within(2.4 / (25 * channels)))
        x = avg_pool(self.activate(x, "act1", train=train), 2, 2)
        x = self.conv(
            x, 16, 5, name="c3", site="act2", init=within(2.4 / (25 * x.shape[-1])), padding="VALID"
        )
        x = avg_pool(self.activate(x, "act2", train=train), 2, 2)
        for name, units, site in (("c5", 120, "act3"), ("f6", 84, "act4")):
            x = jax.lax.collapse(x, 1)
            x = self.dense(x, units, name=name, site=site, init=within(2.4 / x.shape[-1]))
            x = self.activate(x, site, train=train)
        x = self.drop(x, 0, train=train)
        return self.output_layer(x, name="output", init=within(2.4 / x.shape[-1]))


Model = LeNet5
