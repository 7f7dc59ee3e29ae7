"""Krizhevsky's small CIFAR-10 nets, from the example layer files of cuda-convnet (2011)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from flaxact.activations import Activation
from flaxact.layers import Act, avg_pool, max_pool, response_norm

SOURCE = "krizhevsky2011cudaconvnet"

# Hidden units of the dense layer (none: logits straight from the last pooling), standard deviation
# of the dense weights, and whether the first two poolings are followed by response normalisation.
VARIANTS = {
    "80sec": {"hidden": 64, "dense_std": 0.1, "normalise": False},
    "18pct": {"hidden": 0, "dense_std": 0.01, "normalise": True},
    "19pct": {"hidden": 0, "dense_std": 0.01, "normalise": False},
}


class CudaConvnet(nn.Module):
    """Three convolutions of 5×5, poolings of 3×3 with stride 2, and one or two dense layers.

    Images (batch, height, width, channels), pixels from 0 to 255 → logits (batch, num_classes). The
    per-pixel mean of the images it is initialised with is subtracted, and nothing divided, as in
    cuda-convnet. On CIFAR-10 145,578 parameters (``80sec``), 89,578 (``18pct``, ``19pct``).

    The first activation follows the first pooling, as published: the same function for monotone
    activations, another one for the rest. Weights are Gaussian with the standard deviations of the
    layer files, biases zero.

    Attributes:
      act: the activation, for every site.
      num_classes: number of logits.
      variant: ``80sec``, ``18pct`` (with response normalisation) or ``19pct``.
      width: factor on the number of filters and hidden units; 1 is the published net.
    """

    act: Activation | str
    num_classes: int = 10
    variant: str = "80sec"
    width: float = 1.0

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Images to logits; ``train`` changes nothing, there is no dropout."""
        spec = VARIANTS[self.variant]
        x = jnp.asarray(x, jnp.float32)
        x = x - self.variable("inputs", "mean", lambda: x.mean(axis=0)).value
        x = max_pool(self._conv(x, 32, 1e-4, "conv1"), 3, stride=2)
        x = Act(self.act, name="act1")(x)
        x = response_norm(x) if spec["normalise"] else x
        x = Act(self.act, name="act2")(self._conv(x, 32, 0.01, "conv2"))
        x = avg_pool(x, 3, stride=2)
        x = response_norm(x) if spec["normalise"] else x
        x = Act(self.act, name="act3")(self._conv(x, 64, 0.01, "conv3"))
        x = avg_pool(x, 3, stride=2).reshape(x.shape[0], -1)
        weights = nn.initializers.normal(spec["dense_std"])
        if spec["hidden"]:
            x = nn.Dense(self._scaled(spec["hidden"]), kernel_init=weights, name="fc64")(x)
            x = Act(self.act, name="act4")(x)
        return nn.Dense(self.num_classes, kernel_init=weights, name="fc10")(x)

    def _conv(self, x: jax.Array, features: int, std: float, name: str) -> jax.Array:
        weights = nn.initializers.normal(std)
        return nn.Conv(self._scaled(features), (5, 5), kernel_init=weights, name=name)(x)

    def _scaled(self, features: int) -> int:
        return max(1, round(self.width * features))


Model = CudaConvnet
