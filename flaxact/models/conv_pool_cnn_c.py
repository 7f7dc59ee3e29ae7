"""ConvPool-CNN-C of Springenberg et al. 2015, as Salimans & Kingma 2016 change it."""

from __future__ import annotations

import jax
from flax import linen as nn

from flaxact.layers import Dense, max_pool
from flaxact.models._zoo import ZooModel

SOURCE = "salimans2016weightnorm"
INPUT = (32, 32, 3)
FAMILY = "convolutional"

_WEIGHTS = nn.initializers.normal(0.05)


class ConvPoolCNNC(ZooModel):
    """Nine convolutions with two poolings between them, their mean, and the logits.

    Images (batch, height, width, channels) of 9 × 9 pixels or more, pixels from 0 to 255 → logits
    (batch, num_classes). On CIFAR-10 1,406,794 parameters; normalized weights add one scale per
    unit.

    Layers, dropout of 0.5 after both poolings and Gaussian weights of standard deviation 0.05 are of the
    authors' code (github.com/openai/weightnorm, lasagne/train.py). In training, Gaussian noise of
    standard deviation 0.15 is added to the images, drawn from the random stream "dropout". The
    authors whiten images (ZCA); here they are standardized by channel. ``norm`` is the paper's
    comparison: ``none``, ``weight``, ``batch``, ``weight_mean_only_batch``; as in the paper, it
    applies to the logits too. The first pass of the paper, which gives each unit's outputs mean 0
    and variance 1, is left out; ``kernel_init="lsuv"`` is similar. The activation was
    ``leaky_relu(negative_slope=0.1)``. Hendrycks & Gimpel 2016 use the net with ``norm="batch"``.

    Attributes:
      noise: whether there is noise in training.
    """

    noise: bool = True

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Images to logits."""
        x = self.standardize_channels(self.check_image_size(x, 9))
        if train and self.noise:
            x = x + 0.15 * jax.random.normal(self.make_rng("dropout"), x.shape, x.dtype)
        for place in range(1, 10):
            features = 96 if place < 4 else 192
            size = 3 if place < 8 else 1
            site = f"act{place}"
            padding = "VALID" if place == 7 else "SAME"
            x = self.conv(
                x, features, size, name=f"conv{place}", site=site, init=_WEIGHTS, padding=padding
            )
            x = self.activate(x, site, train=train)
            if place in (3, 6):
                x = self.drop(max_pool(x, 2, 2), 0.5, train=train)
        options = self._options("", _WEIGHTS, 0.0)
        x = self._measured(Dense(self.num_classes, name="logits", **options), x.mean((1, 2)))
        batchwise = self.norm in ("batch", "weight_mean_only_batch")
        return self.normalize(x, "norm_logits", train=train) if batchwise else x


Model = ConvPoolCNNC
