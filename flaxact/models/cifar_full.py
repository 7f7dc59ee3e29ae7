"""Caffe's cifar10_full and its sigmoid versions (BVLC Caffe, examples/cifar10)."""

from __future__ import annotations

import jax
from flax import linen as nn

from flaxact.layers import avg_pool, max_pool, response_norm
from flaxact.models._zoo import ZooModel

SOURCE = "jia2014caffe"
INPUT = (32, 32, 3)
FAMILY = "convolutional"
PRESETS = {
    "cifar_full_sigmoid": {"responses": False},
    "cifar_full_sigmoid_bn": {"responses": False, "norm": "batch"},
}


class CifarFull(ZooModel):
    """Three convolutions of 5 × 5, poolings of 3 × 3 with stride 2, and the logits.

    Images (batch, height, width, channels) of any size, pixels from 0 to 255 → logits (batch,
    num_classes). The mean image of the images at initialization is subtracted. On CIFAR-10
    89,578 parameters, and 89,834 with batch normalization.

    With ``responses`` (within a map: 3 × 3, α = 5e-5, β = 0.75, after the first two poolings) it is
    cifar10_full, which Caffe made after cuda-convnet's 18% net. Without, it is
    cifar10_full_sigmoid, and with ``norm="batch"`` cifar10_full_sigmoid_bn (pull request 1965),
    whose activation is ``sigmoid``. The first activation follows the first pooling, with its
    normalization in between; the other activations precede their poolings. Weights are Gaussian of
    standard deviations 1e-4, 0.01, 0.01, 0.01, biases 0. Caffe's later version of the last net has
    no biases and learns no scale: here both are learned, as in the pull request.

    Attributes:
      responses: whether responses are normalized.
    """

    responses: bool = True

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Images to logits."""
        respond = response_norm if self.responses else lambda x: x
        x = max_pool(self._conv(self.subtract_mean_image(x), 32, 1e-4, "1"), 3, 2)
        x = respond(self.activate(x, "act1", train=train))
        x = self.activate(self._conv(x, 32, 0.01, "2"), "act2", train=train)
        x = respond(avg_pool(x, 3, 2))
        x = self.activate(self._conv(x, 64, 0.01, "3"), "act3", train=train)
        x = self.drop(avg_pool(x, 3, 2), 0, train=train)
        return self.output_layer(x, name="ip1", init=nn.initializers.normal(0.01))

    def _conv(self, x: jax.Array, features: int, std: float, place: str) -> jax.Array:
        weights = nn.initializers.normal(std)
        return self.conv(x, features, 5, name=f"conv{place}", site=f"act{place}", init=weights)


Model = CifarFull
