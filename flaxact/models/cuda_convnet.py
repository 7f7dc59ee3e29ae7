"""Krizhevsky's small CIFAR-10 nets, from the example layer files of cuda-convnet (2011)."""

from __future__ import annotations

import jax
from flax import linen as nn

from flaxact.layers import avg_pool, max_pool, response_norm
from flaxact.models._zoo import ZooModel

SOURCE = "krizhevsky2011cudaconvnet"
INPUT = (32, 32, 3)
FAMILY = "alexnet"
CHOICES = {"variant": ("80sec", "18pct", "19pct")}

# Hidden units of the dense layer (none: logits straight from the last pooling), standard deviation
# of the dense weights, and whether the first two poolings are followed by response normalisation.
_VARIANTS = {"80sec": (64, 0.1, False), "18pct": (0, 0.01, True), "19pct": (0, 0.01, False)}


class CudaConvnet(ZooModel):
    """Three convolutions of 5×5, poolings of 3×3 with stride 2, and one or two dense layers.

    Images (batch, height, width, channels), pixels from 0 to 255 → logits (batch, num_classes). The
    per-pixel mean of the images it is initialised with is subtracted, and nothing divided, as in
    cuda-convnet. On CIFAR-10 145,578 parameters (``80sec``), 89,578 (``18pct``, ``19pct``).

    The first activation follows the first pooling, as published: the same function for monotone
    activations, another one for the rest. Weights are Gaussian with the standard deviations of the
    layer files, biases zero. Normalisation, if any is chosen, stays beside the activation.

    Attributes:
      variant: ``80sec``, ``18pct`` (with response normalisation) or ``19pct``.
    """

    variant: str = "80sec"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Images to logits."""
        hidden, dense_std, responses = _VARIANTS[self.variant]
        respond = response_norm if responses else lambda x: x
        x = self._conv(self.centred(x), 32, 1e-4, "1")
        x = respond(self.activate(max_pool(x, 3, stride=2), "act1", train=train))
        x = self.activate(self._conv(x, 32, 0.01, "2"), "act2", train=train)
        x = respond(avg_pool(x, 3, stride=2))
        x = self.activate(self._conv(x, 64, 0.01, "3"), "act3", train=train)
        x = avg_pool(x, 3, stride=2)
        weights = nn.initializers.normal(dense_std)
        if hidden:
            x = self.dense(x, hidden, name="fc64", site="act4", init=weights)
            x = self.activate(x, "act4", train=train)
        return self.logits(self.drop(x, 0, train=train), name="fc10", init=weights)

    def _conv(self, x: jax.Array, features: int, std: float, place: str) -> jax.Array:
        weights = nn.initializers.normal(std)
        return self.conv(x, features, 5, name=f"conv{place}", site=f"act{place}", init=weights)


Model = CudaConvnet
